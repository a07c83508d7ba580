/**
 * The errors that Prisma users know by their P-code, with the texts of engine commit 0edf323e.
 *
 * The WebAssembly engine raises most of them itself. The ones here belong to what it leaves to its host: connecting,
 * creating databases, shadow databases, and the failure of a migration script. The texts are facts of the public
 * prisma-engines sources (libs/user-facing-errors); what each means is in Prisma's error reference.
 */

/** An error with a P-code. `meta` goes to the CLI as it is, so it never holds a secret. */
export class KnownError extends Error {
  constructor(code, message, meta = {}) {
    super(message)
    this.code = code
    this.meta = meta
  }
}

/**
 * The data of a JSON-RPC error answer, for any thrown value.
 *
 * Only `message` and `code` are taken: other properties of a Node error can hold what the user typed (`input`).
 */
export function errorData(error) {
  const message = error.message
  const known = error instanceof KnownError || error.name === 'SchemaConnectorError' // What the WebAssembly engine throws.
  if (!known || !error.code) return { is_panic: false, message, backtrace: null }
  return { is_panic: false, message, meta: error.meta ?? {}, error_code: error.code }
}

export const authenticationFailed = (user) =>
  new KnownError(
    'P1000',
    `Authentication failed against database server, the provided database credentials for \`${user}\` are not valid.\n\n` +
      'Please make sure to provide valid database credentials for the database server at the configured address.',
    { database_user: user },
  )

export const unreachable = ({ host, port }) =>
  new KnownError(
    'P1001',
    `Can't reach database server at \`${host}:${port}\`\n\n` +
      `Please make sure your database server is running at \`${host}:${port}\`.`,
    { database_location: `${host}:${port}` },
  )

export const databaseMissing = (name) =>
  new KnownError('P1003', `Database \`${name}\` does not exist`, { database_name: name })

export const databaseExists = (name) =>
  new KnownError('P1009', `Database \`${name}\` already exists on the database server`, { database_name: name })

export const accessDenied = (name) =>
  new KnownError('P1010', `User was denied access on the database \`${name}\``, { database_name: name })

export const tlsFailed = (reason) => new KnownError('P1011', `Error opening a TLS connection: ${reason}`)

export const invalidUrl = (reason) =>
  new KnownError(
    'P1013',
    `The provided database string is invalid. ${reason} in database URL. Please refer to the documentation in ` +
      'https://www.prisma.io/docs/reference/database-reference/connection-urls for constructing a correct connection ' +
      'string. In some cases, certain characters must be escaped. Please check the string for any illegal characters.',
  )

export const connectionClosed = () => new KnownError('P1017', 'Server has closed the connection.')

/** What only Prisma's own engine can do. P1019 is Prisma's code for an unsupported feature. */
export const needsNativeEngine = (what) =>
  new KnownError(
    'P1019',
    `${what} needs Prisma's own schema engine, which is not installed here: the WebAssembly engine speaks to ` +
      'PostgreSQL only. Run `npm rebuild @prisma/engines` on a network that lets Prisma download it.',
  )

export const shadowDatabaseRefused = (inner) =>
  new KnownError(
    'P3014',
    'Prisma Migrate could not create the shadow database. Please make sure the database user has permission to create ' +
      'databases. Read more about the shadow database (and workarounds) at https://pris.ly/d/migrate-shadow\n\n' +
      `Original error: ${inner.code ? `Error code: ${inner.code}\n` : ''}\n${inner.message}`,
  )

export const migrationFailed = (name, code, databaseError) =>
  new KnownError(
    'P3018',
    'A migration failed to apply. New migrations cannot be applied before the error is recovered from. Read more about ' +
      'how to resolve migration issues in a production database: https://pris.ly/d/migrate-resolve\n\n' +
      `Migration name: ${name}\n\nDatabase error code: ${code}\n\nDatabase error:\n${databaseError}\n`,
    { migration_name: name, database_error_code: code, database_error: databaseError },
  )

export const uncleanMigration = (name, inner) =>
  new KnownError(
    'P3006',
    `Migration \`${name}\` failed to apply cleanly to the shadow database. \n` +
      `Error code: ${inner.code}\nError:\n${inner.message}`,
    { migration_name: name },
  )

/** How the native engine prints a server error: severity, message, and where given detail and hint. */
export function describeServerError({ severity, message, detail, hint }) {
  return `${severity}: ${message}${detail ? `\nDETAIL: ${detail}` : ''}${hint ? `\nHINT: ${hint}` : ''}`
}

/** Did the server itself report this error? (Node's socket and TLS errors have a code too, but no severity.) */
export const isServerError = (error) => typeof error.severity === 'string' && typeof error.code === 'string'

/**
 * The error of a statement sent outside the WebAssembly engine, as the native engine maps it.
 *
 * @param {Error} error what `pg` threw
 * @param {string} database the name it was about
 */
export function statementError(error, database) {
  if (!isServerError(error)) return connectionClosed()
  if (error.code === '42P04' || error.code === '23505') return databaseExists(database)
  if (error.code === '3D000') return databaseMissing(database)
  return new Error(describeServerError(error))
}
