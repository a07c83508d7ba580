/**
 * The shadow database: where a migration history is replayed to learn what schema it makes.
 *
 * Its content is dropped, so the one thing that matters here is that it is never the main database, nor any other that
 * holds somebody's data. The native engine compares the two URLs as text, no more. This one asks the server.
 */
import { randomUUID } from 'node:crypto'
import { Adapter } from './adapter.mjs'
import { connect, quoteIdentifier } from './connection.mjs'
import { parseDatasource } from './datasource.mjs'
import { shadowDatabaseRefused, statementError } from './errors.mjs'

/** The same database of the same server run, whatever name or address it was reached by. */
const IDENTITY = `SELECT pg_catalog.pg_postmaster_start_time()::text, d.oid::text
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`

/** A database with a ledger has been migrated, and is therefore no shadow database. */
const LEDGERS = `SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = '_prisma_migrations'`

const SAME_DATABASE =
  'The shadow database you configured appears to be the same as the main database. Please specify another shadow database.'

/**
 * Creates a database for one replay, which is dropped when its adapter is disposed of.
 *
 * @param {import('./connection.mjs').Connection} main a session that may create databases
 * @param {(script: string) => string[]} split what is sent of a script, one after the other
 * @returns {Promise<Adapter>}
 * @throws {KnownError} P3014 if the server does not let it
 */
export async function createShadow(main, split) {
  const database = `prisma_migrate_shadow_db_${randomUUID()}`
  const drop = `DROP DATABASE IF EXISTS ${quoteIdentifier(database)} WITH (FORCE)`
  await main.query(`CREATE DATABASE ${quoteIdentifier(database)}`).catch((error) => {
    throw shadowDatabaseRefused(statementError(error, database))
  })
  try {
    const connection = await connect({ ...main.target, database })
    return new Adapter(connection, { split, onDispose: () => connection.close().then(() => main.query(drop)) })
  } catch (error) {
    await main.query(drop)
    throw error
  }
}

/**
 * Opens the shadow database that the user named.
 *
 * @param {{url: string, shadowDatabaseUrl: string}} datasource
 * @param {(script: string) => string[]} split what is sent of a script, one after the other
 * @param {(connection: import('./connection.mjs').Connection) => Promise<void>} reset empties it, as the engine does
 * @returns {Promise<Adapter>}
 * @throws {Error} if it is the main database, or looks like another that is in use
 */
export async function openShadow({ url, shadowDatabaseUrl }, split, reset) {
  if (url === shadowDatabaseUrl) throw new Error(SAME_DATABASE)
  const connection = await connect(parseDatasource(shadowDatabaseUrl))
  try {
    await refuseMainDatabase(connection, url)
    await refuseLedger(connection)
    await reset(connection)
    return new Adapter(connection, { split })
  } catch (error) {
    await connection.close()
    throw error
  }
}

/** A main database that cannot be reached is not compared: a replay needs none, and the ledger is still looked for. */
async function refuseMainDatabase(shadow, url) {
  if (!url) return
  const main = await connect(parseDatasource(url)).catch(() => undefined)
  if (!main) return
  try {
    const [ours, theirs] = await Promise.all([shadow.query(IDENTITY), main.query(IDENTITY)])
    if (String(ours.rows[0]) === String(theirs.rows[0])) throw new Error(SAME_DATABASE)
  } finally {
    await main.close()
  }
}

async function refuseLedger(shadow) {
  const { rows } = await shadow.query(LEDGERS)
  if (rows.length === 0) return
  throw new Error(
    `The shadow database has a table \`${rows[0][0]}._prisma_migrations\`, so it is in use as a real database, and would ` +
      'be emptied. Please specify another shadow database, or drop that table.',
  )
}
