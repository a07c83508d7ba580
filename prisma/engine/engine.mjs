/**
 * The methods of the schema engine's JSON-RPC interface.
 *
 * Most are the WebAssembly engine's own. Around it, this adds what the native engine does outside its core: one lazily
 * opened session per URL, creating databases, shadow databases, printing, and P3018 and P3006 with their full texts.
 */
import { Adapter, offlineAdapter, settle } from './adapter.mjs'
import { createDatabase } from './admin.mjs'
import { connect } from './connection.mjs'
import { parseDatasource } from './datasource.mjs'
import { needsNativeEngine, uncleanMigration } from './errors.mjs'
import { datasourceOf, providerOf } from './schema.mjs'
import { createShadow, openShadow } from './shadow.mjs'
import { splitter } from './statements.mjs'
import { loadEngine, startEngine } from './wasm.mjs'

/** The methods that go to the WebAssembly engine as they are. */
const PASSED_ON = [
  'applyMigrations',
  'createMigration',
  'dbExecute',
  'devDiagnostic',
  'diagnoseMigrationHistory',
  'evaluateDataLoss',
  'introspect',
  'introspectSql',
  'markMigrationApplied',
  'markMigrationRolledBack',
  'reset',
  'schemaPush',
]

/** The file and line in which a method is missing is nobody's business: the answer is JSON-RPC's own error. */
export class UnknownMethod extends Error {}

export class Engine {
  #found
  #datamodels
  #datasource
  #inSchema
  #print
  /** URL -> promise of a session; each is opened when first needed and kept until the end. */
  #sessions = new Map()

  /**
   * @param {object} options
   * @param {ReturnType<typeof import('./version.mjs').findEngine>} options.found the engine's files
   * @param {[string, string][]} options.datamodels path and text of each schema file
   * @param {{url?: string, shadowDatabaseUrl?: string}} options.datasource
   * @param {(text: string) => void} options.print shows a text to the user
   */
  constructor({ found, datamodels, datasource, print }) {
    this.#found = found
    this.#datamodels = datamodels
    this.#datasource = datasource
    // Prisma 7 says it in an argument.
    this.#inSchema = () => datasourceOf(datamodels.map(([, text]) => text))
    this.#print = print
  }

  /**
   * Runs a method.
   *
   * @returns {Promise<unknown>} its result
   * @throws {KnownError | Error} what the user is told; UnknownMethod for a method that there is not
   */
  async call(method, params) {
    if (PASSED_ON.includes(method)) return this.#passOn(method, params)
    switch (method) {
      case 'createDatabase':
        return { databaseName: await createDatabase(parseDatasource(this.#urlOf(params.datasource))) }
      case 'ensureConnectionValidity':
        await this.#session(this.#urlOf(params.datasource))
        return {}
      case 'getDatabaseVersion':
        return this.#version(params)
      case 'diff':
        return this.#diff(params)
      case 'debugPanic':
        throw new WebAssembly.RuntimeError('This is the debugPanic artificial panic')
      default:
        throw new UnknownMethod(`Method not found: ${method}`)
    }
  }

  /** Ends every session. */
  async close() {
    await Promise.all([...this.#sessions.values()].map((session) => session.then((it) => it.connection.close(), () => {})))
  }

  #urlOf(parameter) {
    const url = parameter?.url ?? this.#datasource.url ?? this.#urlOfFiles(parameter?.files) ?? this.#inSchema().url
    if (!url) throw new Error('The `datasource.url` property is required in your Prisma config file.')
    return url
  }

  #urlOfFiles(files) {
    return files && datasourceOf(files.map(({ content }) => content)).url
  }

  #session(url) {
    refuseProvider(this.#datamodels.map(([, text]) => providerOf(text)).find(Boolean))
    if (!this.#sessions.has(url)) this.#sessions.set(url, this.#open(url))
    return this.#sessions.get(url)
  }

  async #open(url) {
    const target = parseDatasource(url)
    const library = loadEngine(this.#found) // Compiles in the background while the session opens.
    library.catch(() => {})
    const session = { url, connection: await connect(target), library: await library, migration: '', shadowError: undefined }
    session.adapter = new Adapter(session.connection, {
      scriptName: () => session.migration,
      split: (script) => session.split(script),
      onScript: (name) => this.#print(`Applying migration \`${name}\``),
      onDispose: async () => {}, // The session may outlive an engine; `close` ends it.
    })
    return session
  }

  async #version(params) {
    const { connection } = await this.#session(this.#urlOf(params?.datasource))
    return (await connection.query('SELECT pg_catalog.version()')).rows[0][0]
  }

  async #passOn(method, params) {
    const session = await this.#session(this.#urlOf(params?.datasourceType))
    session.split = method === 'applyMigrations' ? splitter(params, { shadow: false }) : (script) => [script]
    session.splitInShadow = splitter(params, { shadow: true })
    session.engine ??= await startEngine(session.library, {
      datamodels: this.#datamodels,
      factory: this.#factory(session, session.adapter, this.#datamodels),
      onMigration: (name) => (session.migration = name),
    })
    try {
      return (await callEngine(session.engine, method, params)) ?? null
    } catch (error) {
      throw explain(error, session)
    }
  }

  /** The wasm engine opens its adapters through this. `state` remembers what it would lose: the real error. */
  #factory(state, adapter, datamodels) {
    const openShadowAdapter = async () => {
      try {
        state.shadow = await this.#shadow(state, datamodels)
        return state.shadow
      } catch (error) {
        state.shadowError = error
        throw error
      }
    }
    return {
      provider: adapter.provider,
      adapterName: adapter.adapterName,
      connect: () => settle(Promise.resolve(adapter)),
      connectToShadowDb: () => settle(openShadowAdapter()),
    }
  }

  #shadow(state, datamodels) {
    const split = state.splitInShadow
    const shadowDatabaseUrl = this.#shadowUrl(state)
    if (!shadowDatabaseUrl) return createShadow(state.connection, split)
    return openShadow({ url: state.url ?? this.#datasource.url, shadowDatabaseUrl }, split, async (connection) => {
      const adapter = new Adapter(connection, { onDispose: async () => {} })
      const factory = { ...this.#factory(state, adapter, datamodels), connectToShadowDb: undefined }
      const engine = await startEngine(await loadEngine(this.#found), { datamodels, factory })
      await engine.reset({ filter: { externalTables: [], externalEnums: [] } })
      engine.free()
    })
  }

  /** Prisma 6 gives it to a `diff` as a parameter, and to other methods in the schema. */
  #shadowUrl({ shadowUrl }) {
    return shadowUrl || this.#datasource.shadowDatabaseUrl || this.#inSchema().shadowDatabaseUrl
  }

  /** Opens a session only where a side of the comparison is a database, as the native engine does. */
  async #diff(params) {
    const sides = [params.from, params.to]
    sides.forEach((side) => this.#checkDiffSide(side, params))
    const database = sides.find(({ tag }) => tag === 'schemaDatasource' || tag === 'url')
    const online = database !== undefined
    const state = online ? await this.#session(this.#urlOf(database)) : { library: await loadEngine(this.#found) }
    state.shadowUrl = params.shadowDatabaseUrl
    state.splitInShadow = splitter(params, { shadow: true })
    const datamodels = sides.flatMap((side) => side.files ?? []).map(({ path, content }) => [path, content])
    const factory = this.#factory(state, online ? state.adapter : offlineAdapter(), datamodels)
    const engine = await startEngine(state.library, { datamodels, factory })
    try {
      const { exitCode, stdout } = await engine.diff(params)
      this.#print(stdout.replace(/\n$/, ''))
      return { exitCode, stdout: null }
    } catch (error) {
      throw explain(error, state)
    }
  }

  #checkDiffSide(side, params) {
    if (side.tag === 'schemaDatasource') side.files.forEach(({ content }) => refuseProvider(providerOf(content)))
    if (side.tag !== 'migrations') return
    const provider = /^\s*provider\s*=\s*"(\w+)"/m.exec(side.lockfile.content ?? '')?.[1]
    refuseProvider(provider)
    if (provider && !this.#shadowUrl({ shadowUrl: params.shadowDatabaseUrl })) {
      throw new Error(
        'You must set `datasource.shadowDatabaseUrl` in your `prisma.config.ts` if you want to diff a migrations directory.',
      )
    }
  }
}

/**
 * `createMigration` and `evaluateDataLoss` need the schema that the history makes, but the WebAssembly engine looks for it
 * only among those that it has replayed already. `devDiagnostic` replays it, and changes nothing.
 */
async function callEngine(engine, method, params) {
  try {
    return await engine[method](params)
  } catch (error) {
    if (!/^PostgreSQL shadow DB must be provided through an external factory/.test(error.message)) throw error
    await engine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters })
    return engine[method](params)
  }
}

function refuseProvider(provider) {
  if (provider && !['postgres', 'postgresql'].includes(provider)) throw needsNativeEngine(`A \`${provider}\` database`)
}

/** The error that the native engine would give for what the WebAssembly engine threw. */
function explain(error, state) {
  const { shadowError, shadow, adapter } = state
  state.shadowError = undefined
  if (shadowError) return shadowError
  const replayed = error.code === 'P3006' && /^Migration `([^`]+)`/.exec(error.message)?.[1]
  const inner = replayed && shadow?.lastScriptError(replayed)
  if (inner) return uncleanMigration(replayed, inner)
  return adapter?.scriptError(error) ?? error
}
