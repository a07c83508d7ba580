/**
 * The driver adapter: what the WebAssembly engine calls to reach a database.
 *
 * The protocol is that of @prisma/driver-adapter-utils, one level down: each function answers with an object
 * `{ok: true, value}` or `{ok: false, error}` and never throws. `@prisma/adapter-pg` is not enough under a schema engine:
 * it refuses the catalog's column types, and splits scripts at semicolons.
 */
import { toResultSet } from './columns.mjs'
import { describeServerError, isServerError, migrationFailed } from './errors.mjs'

/**
 * An advisory lock is waited for on the server, and the engine gives up after 10 s (P1002). Without a limit of its own
 * the server session would go on waiting after the engine has gone, then take the lock for a moment.
 */
const LOCK_STATEMENT = /^SELECT pg_advisory_lock\(\d+\)$/
const LOCK_WAIT = '11s'

/** The statement with which the engine records why a migration failed. */
const LOGS_STATEMENT = /^UPDATE "_prisma_migrations" SET "logs" = \$1/

/** What the engine says of a script that failed under an adapter, before its trace. The native engine says P3018. */
const SCRIPT_FAILED = /^external connector error\n[^]*?(?=\n {3}0: |$)/

/** As one request: what is no migration always is. */
const whole = (script) => [script]

/** Turns a promise into what the engine expects. */
export function settle(promise) {
  return promise.then(
    (value) => ({ ok: true, value }),
    (error) => ({ ok: false, error: toDriverError(error) }),
  )
}

function toDriverError(error) {
  if (!isServerError(error)) return { kind: 'ConnectionClosed' }
  const { code, severity, message, detail, column, hint } = error
  const common = { originalCode: code, originalMessage: message }
  // The engine tells a missing ledger, and a `db execute` on a missing table, by this kind.
  if (code === '42P01') return { kind: 'TableDoesNotExist', table: /"([^"]+)"/.exec(message)?.[1], ...common }
  return { kind: 'postgres', code, severity, message, detail, column, hint, ...common }
}

/** An adapter on one session. */
export class Adapter {
  provider = 'postgres'
  adapterName = 'staging-drill-pg'

  /** The last script that the server refused, as P3018 would describe it: what `scriptError` builds on. */
  #failure

  /**
   * @param {import('./connection.mjs').Connection} connection
   * @param {object} [hooks]
   * @param {() => string} [hooks.scriptName] the migration that is being applied
   * @param {(script: string) => string[]} [hooks.split] what is sent of a script, one after the other
   * @param {(name: string) => void} [hooks.onScript] called before each script
   * @param {() => Promise<unknown>} [hooks.onDispose] called instead of closing the session
   */
  constructor(connection, { scriptName = () => '', split = whole, onScript = () => {}, onDispose } = {}) {
    this.connection = connection
    this.queryRaw = ({ sql, args }) => settle(this.#query(sql, args).then(toResultSet))
    this.executeRaw = ({ sql, args }) => settle(this.#query(sql, args).then((result) => result?.rowCount ?? 0))
    this.executeScript = (script) => settle(this.#runScript(script, split, scriptName(), onScript))
    this.startTransaction = () => settle(Promise.reject(new Error('the schema engine starts no transactions')))
    this.getConnectionInfo = () => ({
      ok: true,
      value: { schemaName: connection.target.schema ?? 'public', supportsRelationJoins: true },
    })
    this.dispose = () => settle(onDispose ? onDispose().then(() => undefined) : connection.close())
  }

  /** Sends a statement of the engine's own. Two of them are completed with what the native engine does in its core. */
  #query(sql, args) {
    if (LOCK_STATEMENT.test(sql)) return this.connection.query(`SET LOCAL lock_timeout = '${LOCK_WAIT}'; ${sql}`)
    if (!LOGS_STATEMENT.test(sql) || !this.#failure) return this.connection.query(sql, args)
    const [logs, ...others] = args
    return this.connection.query(sql, [logs.replace(SCRIPT_FAILED, () => this.#failure.message), ...others])
  }

  async #runScript(script, split, name, onScript) {
    this.#failure = undefined
    onScript(name)
    let sent = ''
    try {
      for (const statement of split(script)) {
        await this.connection.query(statement)
        sent += statement
      }
    } catch (error) {
      this.#failure = migrationFailed(name, ...describeScriptError(error, script, sent))
      throw error
    }
  }

  /** The P3018 error for what the engine threw, if it threw because of the last script. */
  scriptError(error) {
    return this.#failure && !error.code && SCRIPT_FAILED.test(error.message) ? this.#failure : undefined
  }

  /** The P3018 error of the last script, under a name that only the caller knows. */
  lastScriptError(name) {
    return this.#failure && migrationFailed(name, this.#failure.meta.database_error_code, this.#failure.meta.database_error)
  }
}

/** [SQLSTATE, text] as the native engine puts them into P3018. */
function describeScriptError(error, script, sent) {
  if (!isServerError(error)) return ['none', 'connection closed']
  return [error.code, `${describeServerError(error)}${showPosition(error, script, sent)}\n\n${debugServerError(error)}`]
}

/** The line that the server points at, with up to five lines before it; it counts from the end of what was sent before. */
function showPosition({ position }, script, sent) {
  if (!position) return ''
  const lines = script.split('\n')
  const last = script.slice(0, sent.length + Number(position) - 1).split('\n').length
  const shown = lines.slice(Math.max(0, last - 6), last - 1).map((line, i) => [Math.max(1, last - 5) + i, line])
  const before = shown.map(([number, line]) => `\x1b[1m${String(number).padStart(3)}\x1b[0m${line && ` ${line}`}\n`)
  const failed = `\x1b[1m${String(last).padStart(3)}\x1b[1;31m ${lines[last - 1]}\x1b[0m`
  return `\n\nPosition:\n${before.join('')}${failed}`
}

/** The native engine adds the error as Rust prints it; tools read file and routine from it. */
function debugServerError(error) {
  const some = (value) => (value === undefined ? 'None' : `Some(${JSON.stringify(value)})`)
  const severity = error.severity.charAt(0) + error.severity.slice(1).toLowerCase()
  const position = error.position ? `Some(Original(${error.position}))` : 'None'
  return (
    `DbError { severity: "${error.severity}", parsed_severity: Some(${severity}), code: SqlState(E${error.code}), ` +
    `message: ${JSON.stringify(error.message)}, detail: ${some(error.detail)}, hint: ${some(error.hint)}, ` +
    `position: ${position}, where_: ${some(error.where)}, schema: ${some(error.schema)}, table: ${some(error.table)}, ` +
    `column: ${some(error.column)}, datatype: ${some(error.dataType)}, constraint: ${some(error.constraint)}, ` +
    `file: ${some(error.file)}, line: ${error.line ? `Some(${error.line})` : 'None'}, routine: ${some(error.routine)} }`
  )
}

/** The one thing that the engine asks a database before it compares two schema files: does its schema exist? */
const OFFLINE_ANSWER = {
  columnNames: ['exists', 'version', 'numeric_version'],
  columnTypes: [5, 7, 0],
  rows: [[true, 'PostgreSQL', 170000]],
}

/** An adapter without a database, for comparing files: the native engine opens no session for those either. */
export function offlineAdapter() {
  const refuse = () => settle(Promise.reject(new Error('no database')))
  return {
    provider: 'postgres',
    adapterName: 'staging-drill-offline',
    queryRaw: () => settle(Promise.resolve(OFFLINE_ANSWER)),
    executeRaw: refuse,
    executeScript: refuse,
    startTransaction: refuse,
    getConnectionInfo: () => ({ ok: true, value: { schemaName: 'public', supportsRelationJoins: true } }),
    dispose: () => settle(Promise.resolve()),
  }
}
