/**
 * A datasource URL, read as the native engine reads it, and the settings for `pg` that follow from it.
 *
 * `pg` has a URL parser of its own that differs in a dozen ways (`?port=`, `?user=`, PG* variables, `~/.pgpass`), so it
 * never sees the URL: each setting is given, and nothing is left for it to look up elsewhere.
 */
import { readFileSync } from 'node:fs'
import { invalidUrl, needsNativeEngine } from './errors.mjs'

/** Prisma's default for `connect_timeout`, in seconds; 0 waits for ever. */
const CONNECT_TIMEOUT_S = 5

/**
 * @typedef {object} Target
 * @property {string} host      a name, an address, or the folder of a socket
 * @property {number} port
 * @property {string} user
 * @property {string} password
 * @property {string} database
 * @property {string | undefined} schema           the `?schema=` parameter
 * @property {number} connectTimeoutMs             0 waits for ever
 * @property {string | undefined} applicationName
 * @property {string | undefined} options          startup options, such as `-c lock_timeout=3s`
 * @property {(object | false)[]} tlsAttempts      TLS settings to try in this order; `false` is plain text
 */

/**
 * Reads a URL into a target.
 *
 * @param {string} url
 * @returns {Target}
 * @throws {KnownError} P1013 for what is not a PostgreSQL URL, P1019 for what needs the native engine. The texts never
 *   repeat the URL.
 */
export function parseDatasource(url) {
  const scheme = /^\s*([a-z][a-z0-9+.-]*):/i.exec(url)?.[1].toLowerCase()
  if (scheme === 'file') throw needsNativeEngine('A SQLite database')
  if (scheme === 'prisma+postgres') throw needsNativeEngine('A `prisma+postgres:` database')
  if (scheme !== 'postgres' && scheme !== 'postgresql') throw invalidUrl('The scheme is not recognized')
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed) throw invalidUrl('invalid host or port number')
  const parameters = parsed.searchParams
  return {
    host: parameters.get('host') || parsed.hostname.replace(/^\[|\]$/g, '') || 'localhost',
    port: parsed.port === '' ? 5432 : Number(parsed.port),
    user: percentDecode(parsed.username),
    password: percentDecode(parsed.password),
    database: percentDecode(parsed.pathname.split('/')[1] ?? '') || 'postgres',
    schema: readSchema(parameters),
    connectTimeoutMs: readConnectTimeout(parameters) * 1000,
    applicationName: parameters.get('application_name') ?? undefined,
    options: parameters.get('options') ?? undefined,
    tlsAttempts: readTlsAttempts(parameters),
  }
}

/** Where the WHATWG parser leaves `%zz` alone, so do the native engine and this. */
function percentDecode(text) {
  const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(bytes, 'latin1'))
  } catch {
    return text
  }
}

/**
 * The engine builds `DROP SCHEMA "…" CASCADE` from this name without escaping it, so a name that could end the quotes
 * is refused here. The native engine takes it.
 */
function readSchema(parameters) {
  const schema = parameters.get('schema')
  if (schema === null) return undefined
  if (schema === '' || /["\0]/.test(schema)) throw invalidUrl('The `schema` parameter is not an identifier')
  return schema
}

function readConnectTimeout(parameters) {
  const text = parameters.get('connect_timeout') ?? String(CONNECT_TIMEOUT_S)
  if (!/^\d{1,6}$/.test(text)) throw invalidUrl('The `connect_timeout` parameter is not a number of seconds')
  return Number(text)
}

/**
 * `prefer` is Prisma's default: TLS with any certificate, else plain text. Prisma reads libpq's `verify-ca` and
 * `verify-full` as `prefer`; here they mean what they say, since to verify less than was asked for would be a lie.
 */
function readTlsAttempts(parameters) {
  const mode = parameters.get('sslmode') ?? 'prefer'
  if (mode === 'disable') return [false]
  const verify = mode.startsWith('verify-') || !['accept_invalid_certs', null].includes(parameters.get('sslaccept'))
  const tls = { rejectUnauthorized: verify, ...readCertificates(parameters) }
  return mode === 'require' || mode.startsWith('verify-') ? [tls] : [tls, false]
}

function readCertificates(parameters) {
  const read = (name) => (parameters.has(name) ? readCertificate(name, parameters.get(name)) : undefined)
  return { ca: read('sslcert'), pfx: read('sslidentity'), passphrase: parameters.get('sslpassword') ?? undefined }
}

function readCertificate(name, path) {
  try {
    return readFileSync(path)
  } catch (error) {
    throw invalidUrl(`The file of the \`${name}\` parameter cannot be read (${error.code})`)
  }
}
