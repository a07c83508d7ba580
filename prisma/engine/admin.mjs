/** Creating, dropping and trying databases: what needs a session, but no engine. */
import { connect, quoteIdentifier } from './connection.mjs'
import { KnownError, statementError } from './errors.mjs'

/** Where a server can be asked to create another database; `defaultdb` is DigitalOcean's. Prisma tries the same. */
const ADMIN_DATABASES = ['postgres', 'template1', 'defaultdb']

/**
 * Opens a session and ends it.
 *
 * The native engine also creates a missing `?schema=` here; ours leaves that to the command that comes next.
 */
export async function tryDatabase(target) {
  await (await connect(target)).close()
}

/**
 * Creates the target's database, and its schema.
 *
 * @returns {Promise<string>} the database's name
 * @throws {KnownError} P1009 if it exists, after its schema was created nevertheless, as the native engine does
 */
export async function createDatabase(target) {
  const failure = await asAdmin(target, `CREATE DATABASE ${quoteIdentifier(target.database)}`)
  if (failure && failure.code !== 'P1009') throw failure
  await createSchema(target)
  if (failure) throw failure
  return target.database
}

/** Drops the target's database. */
export async function dropDatabase(target) {
  const failure = await asAdmin(target, `DROP DATABASE ${quoteIdentifier(target.database)}`)
  if (failure) throw failure
}

/** Runs a statement beside the target's database. Returns, not throws, the error of the statement. */
async function asAdmin(target, sql) {
  const connection = await connectAsAdmin(target)
  try {
    await connection.query(sql)
    return undefined
  } catch (error) {
    return statementError(error, target.database)
  } finally {
    await connection.close()
  }
}

async function connectAsAdmin(target) {
  for (const database of ADMIN_DATABASES) {
    try {
      return await connect({ ...target, database, schema: undefined })
    } catch (error) {
      if (error.code !== 'P1003' && error.code !== 'P1010') throw error
    }
  }
  throw new KnownError(
    'P3000',
    'Failed to create database: Prisma could not connect to a default database (`postgres` or `template1`), it cannot ' +
      'create the specified database.',
  )
}

async function createSchema(target) {
  const connection = await connect(target)
  try {
    await connection.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(target.schema ?? 'public')}`)
  } catch (error) {
    throw statementError(error, target.database)
  } finally {
    await connection.close()
  }
}
