/** Shadow databases: what is dropped must be a shadow database, whatever it was configured as. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { applying, database, engine, migrationsList, NO_FILTER, request, role, serverUrl, sql } from './harness.mjs'

const SCHEMA = 'datasource db {\n  provider = "postgresql"\n}\nmodel Cat {\n  id Int @id\n}\n'
const CATS = ['1_cats', 'CREATE TABLE "Cat" ("id" INTEGER NOT NULL, CONSTRAINT "Cat_pkey" PRIMARY KEY ("id"));']
const BROKEN = ['2_broken', 'CREATE TABLE dog (id int);\nSELECT 1/0;']

const schemaFile = { files: [{ path: 'schema.prisma', content: SCHEMA }] }
const history = (...migrations) => ({ tag: 'migrations', ...migrationsList(migrations) })
const diff = (from, to) => ({ from, to, script: true, exitCode: true, filters: NO_FILTER })
const historyToEmpty = diff(history(CATS), { tag: 'empty' })
const shadowsOnServer = async () => (await sql(serverUrl(), `SELECT datname FROM pg_database WHERE datname LIKE 'prisma_migrate_shadow%'`)).map((row) => row.datname)

async function withRows(t) {
  const db = await database(t)
  await db.sql('CREATE TABLE precious (id int); INSERT INTO precious VALUES (1), (2)')
  return { ...db, survives: async () => assert.equal((await db.sql('SELECT count(*)::int AS n FROM precious'))[0].n, 2) }
}

describe('the shadow database', { concurrency: 4 }, () => {
  it('a history is compared in the shadow database, and the main one is untouched', async (t) => {
    const [main, shadow] = [await withRows(t), await database(t)]
    await shadow.sql('CREATE TABLE left_over (id int)')
    const options = { url: main.url, shadowDatabaseUrl: shadow.url }
    const same = await request(t, options, 'diff', diff(history(CATS), { tag: 'schemaDatamodel', ...schemaFile }))
    assert.deepEqual(same.result, { exitCode: 0, stdout: null })
    assert.deepEqual(same.prints, ['-- This is an empty migration.'])
    const away = await request(t, options, 'diff', historyToEmpty)
    assert.equal(away.result.exitCode, 2)
    assert.match(away.prints[0], /DROP TABLE ("public"\.)?"Cat"/)
    await main.survives()
    assert.deepEqual(await main.sql(`SELECT 1 FROM pg_class WHERE relname IN ('Cat', '_prisma_migrations')`), [])
  })

  it('the main database is refused as shadow database, by any of its names', async (t) => {
    const main = await withRows(t)
    const other = serverUrl({ database: main.name, host: new URL(main.url).hostname === 'localhost' ? '127.0.0.1' : 'localhost' })
    for (const shadowDatabaseUrl of [main.url, `${main.url}?connect_timeout=4`, other]) {
      const { error } = await request(t, { url: main.url, shadowDatabaseUrl }, 'diff', historyToEmpty)
      assert.match(error.data.message, /appears to be the same as the main database/)
    }
    await main.survives()
  })

  it('a database with a ledger is refused as shadow database, even where the main one cannot be reached', async (t) => {
    const inUse = await withRows(t)
    await inUse.sql('CREATE TABLE _prisma_migrations (id int)')
    const url = serverUrl({ database: 'missing_database' })
    const { error } = await request(t, { url, shadowDatabaseUrl: inUse.url }, 'diff', historyToEmpty)
    assert.match(error.data.message, /`public\._prisma_migrations`, so it is in use/)
    await inUse.survives()
  })

  it('comparing a history without a shadow database is refused, as the native engine does', async (t) => {
    const { error } = await request(t, { url: (await database(t)).url }, 'diff', historyToEmpty)
    assert.match(error.data.message, /^You must set `datasource.shadowDatabaseUrl`/)
  })

  it('a history that does not apply is P3006 with the reason', async (t) => {
    const [main, shadow] = [await database(t), await database(t)]
    const params = diff(history(CATS, BROKEN), { tag: 'empty' })
    const { error } = await request(t, { url: main.url, shadowDatabaseUrl: shadow.url }, 'diff', params)
    assert.equal(error.data.error_code, 'P3006')
    assert.match(error.data.message, /^Migration `2_broken` failed to apply cleanly to the shadow database\. \nError code: P3018\nError:\n/)
    assert.match(error.data.message, /Migration name: 2_broken[^]*ERROR: division by zero/)
  })

  it('without a URL a temporary one is created and dropped, also when the replay fails', async (t) => {
    const db = await database(t)
    const before = await shadowsOnServer()
    const { call } = engine(t, { url: db.url, datamodel: SCHEMA })
    const create = (...migrations) => call('createMigration', { migrationName: 'x', draft: false, schema: schemaFile, migrationsList: migrationsList(migrations), filters: NO_FILTER })
    assert.match((await create()).result.migrationScript, /CREATE TABLE "Cat"/)
    await call('applyMigrations', applying(CATS))
    assert.equal((await create(CATS)).result.migrationScript, null)
    assert.equal((await create(BROKEN)).error.data.error_code, 'P3006')
    const leftOver = (await shadowsOnServer()).filter((name) => !before.includes(name))
    assert.deepEqual(leftOver, [])
  })

  it('a role that may not create databases is P3014', async (t) => {
    const db = await database(t)
    const url = serverUrl({ database: db.name, user: await role(t, 'shadow-pw-1'), password: 'shadow-pw-1' })
    const { error } = await request(t, { url, datamodel: SCHEMA }, 'devDiagnostic', { migrationsList: migrationsList([CATS]), filters: NO_FILTER })
    assert.equal(error.data.error_code, 'P3014')
    assert.match(error.data.message, /Original error: \nERROR: permission denied to create database/)
  })

  it('schema files are compared without any database, of SQLite too', async (t) => {
    const sqlite = { files: [{ path: 's.prisma', content: SCHEMA.replace('postgresql', 'sqlite') }] }
    for (const files of [schemaFile, sqlite]) {
      const { result, prints } = await request(t, {}, 'diff', diff({ tag: 'empty' }, { tag: 'schemaDatamodel', ...files }))
      assert.equal(result.exitCode, 2)
      assert.match(prints[0], /CREATE TABLE "Cat"/)
    }
  })
})
