/**
 * One session with the server.
 *
 * Every text without parameters goes out as ONE simple query, however many statements it holds: so it is one implicit
 * transaction, `$$` bodies and semicolons in strings need no parsing here, and `CREATE INDEX CONCURRENTLY` works where it
 * stands alone. That is what the native engine does too; statements.mjs says of a migration what is one text.
 */
import pg from 'pg'
import {
  accessDenied,
  authenticationFailed,
  databaseMissing,
  describeServerError,
  isServerError,
  tlsFailed,
  unreachable,
} from './errors.mjs'

/** Results stay as the server's text; columns.mjs gives them their types. */
const TEXT_RESULTS = { getTypeParser: () => (text) => text }

/** What `pg` says when the server answers a TLS request with "no". */
const NO_TLS = 'The server does not support SSL connections'

/** A session that is open. Statements run one after the other. */
export class Connection {
  #client
  #ended = false

  constructor(client, target) {
    this.#client = client
    this.target = target
    client.on('error', () => {}) // A lost connection is reported by the next statement, not as a crash.
  }

  /**
   * Sends a text and waits for its end.
   *
   * @param {string} text one statement with `$1` placeholders, or any number of statements without
   * @param {unknown[]} [values] the parameters
   * @returns {Promise<import('pg').QueryArrayResult>} the last statement's result
   * @throws what `pg` throws; `isServerError` tells the server's own errors apart
   */
  async query(text, values) {
    const parameters = values?.length ? values : undefined
    const result = await this.#client.query({ text, values: parameters, rowMode: 'array', types: TEXT_RESULTS })
    return Array.isArray(result) ? result.at(-1) : result
  }

  /** Ends the session as the protocol wants it (Terminate). Never throws: there is nothing left to lose. */
  async close() {
    if (this.#ended) return
    this.#ended = true
    await this.#client.end().catch(() => {})
  }
}

/**
 * Opens a session.
 *
 * @param {import('./datasource.mjs').Target} target
 * @returns {Promise<Connection>}
 * @throws {KnownError} P1000, P1001, P1003, P1010 or P1011; an Error with the server's text for anything else
 */
export async function connect(target) {
  const [first, ...others] = target.tlsAttempts
  try {
    return await open(target, first)
  } catch (error) {
    if (error.message === NO_TLS && others.length > 0) return connect({ ...target, tlsAttempts: others })
    throw connectionError(error, target)
  }
}

async function open(target, tls) {
  const client = new pg.Client(clientConfig(target, tls))
  let dateStyle = 'ISO'
  client.connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
    if (parameterName === 'DateStyle') dateStyle = parameterValue
  })
  try {
    await client.connect()
  } catch (error) {
    // `pg` may leave the socket open, and a session that never ends its login holds up DROP DATABASE for a minute.
    client.connection.stream.destroy()
    throw error
  }
  const setup = []
  if (target.schema) setup.push(`SET search_path = ${quoteIdentifier(target.schema)}`)
  // Timestamps arrive as text; ISO is the server's default, and the one form that the engine reads.
  if (!dateStyle.startsWith('ISO')) setup.push('SET datestyle = ISO')
  if (setup.length > 0) await client.query(setup.join(';'))
  return new Connection(client, target)
}

/** The password is a function since `pg` looks into the environment and `~/.pgpass` when it is empty. */
function clientConfig(target, tls) {
  return {
    host: target.host,
    port: target.port,
    user: target.user,
    password: () => target.password,
    database: target.database,
    ssl: tls,
    connectionTimeoutMillis: target.connectTimeoutMs,
    application_name: target.applicationName,
    options: target.options,
  }
}

/** Quotes a name for SQL. */
export function quoteIdentifier(name) {
  return `"${name.replaceAll('"', '""')}"`
}

function connectionError(error, target) {
  if (error.code === '28P01' || error.message?.startsWith('SASL')) return authenticationFailed(target.user)
  if (error.code === '28000') return accessDenied(`${target.database}.${target.schema ?? 'public'}`)
  if (error.code === '3D000') return databaseMissing(target.database)
  if (isServerError(error)) return new Error(describeServerError(error))
  if (error.message === NO_TLS) return tlsFailed('error performing TLS handshake: server does not support TLS')
  if (isTlsError(error)) return tlsFailed(error.code)
  return unreachable(target)
}

/** Node's TLS errors carry OpenSSL's name of the reason (`DEPTH_ZERO_SELF_SIGNED_CERT`); socket errors start with E. */
function isTlsError({ code }) {
  return typeof code === 'string' && (code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || /CERT/.test(code))
}
