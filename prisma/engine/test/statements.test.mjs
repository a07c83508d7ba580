/** Scripts that the drill takes apart: what is sent, what a failure leaves behind, and how it is told. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { applying, database, NO_FILTER, request, splitting } from './harness.mjs'

const CONCURRENTLY = [
  '1_indexes',
  `CREATE TABLE shelf (id int);
   CREATE INDEX CONCURRENTLY a ON shelf (id);
   CREATE INDEX CONCURRENTLY b ON shelf (id, id);`,
]

const apply = (t, db, release, ...migrations) =>
  request(t, { url: db.url, env: splitting(release) }, 'applyMigrations', applying(...migrations))

const replay = (t, db, release, ...migrations) =>
  request(t, { url: db.url, env: splitting(release) }, 'devDiagnostic', { ...applying(...migrations), filters: NO_FILTER })

const tables = async (db) =>
  (await db.sql(`SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`))
    .map((row) => row.relname)
    .filter((name) => name !== '_prisma_migrations')

describe('statement by statement', { concurrency: 4 }, () => {
  it('a file may hold more than one statement that runs in no transaction', async (t) => {
    const db = await database(t)
    const { result } = await apply(t, db, '7.4.0', CONCURRENTLY)
    assert.deepEqual(result, { appliedMigrationNames: ['1_indexes'] })
    const old = await database(t)
    assert.equal((await apply(t, old, '7.3.0', CONCURRENTLY)).error.data.meta.database_error_code, '25001')
  })

  it('a shadow database gets the same from 7.8 on', async (t) => {
    const db = await database(t)
    assert.deepEqual((await replay(t, db, '7.8.0', CONCURRENTLY)).result, { action: { tag: 'createMigration' } })
    assert.equal((await replay(t, db, '7.7.0', CONCURRENTLY)).error.data.error_code, 'P3006')
  })

  it('a failure keeps what came before it, and points into the file', async (t) => {
    const db = await database(t)
    const script = "CREATE TABLE first (note text DEFAULT ';');\n-- the second\nCREATE TABLE second ();\n\nSELECT nope;\nCREATE TABLE third ();"
    const { error } = await apply(t, db, '7.10.0', ['1_half', script])
    assert.equal(error.data.error_code, 'P3018')
    assert.match(error.data.meta.database_error, /^ERROR: column "nope" does not exist\n\nPosition:\n[^]* {2}5\x1b\[1;31m SELECT nope;/)
    assert.deepEqual(await tables(db), ['first', 'second'])
    const [row] = await db.sql('SELECT finished_at, rolled_back_at, applied_steps_count, logs FROM _prisma_migrations')
    assert.match(row.logs, /column "nope" does not exist/)
    assert.deepEqual({ ...row, logs: '' }, { finished_at: null, rolled_back_at: null, applied_steps_count: 0, logs: '' })
  })

  it('a transaction of the file is one', async (t) => {
    const db = await database(t)
    const script = 'CREATE TABLE kept (); BEGIN; CREATE TABLE gone (); SELECT nope; COMMIT;'
    const { error } = await apply(t, db, '7.10.0', ['1_half', script])
    assert.match(error.data.message, /nope|current transaction is aborted/)
    assert.deepEqual(await tables(db), ['kept'])
  })

  it('a file that the parser does not know whole is sent as one', async (t) => {
    const db = await database(t)
    await apply(t, db, '7.10.0', ['1_whole', 'CREATE TABLE gone (); DO $$ BEGIN RAISE division_by_zero; END $$;'])
    assert.deepEqual(await tables(db), [])
  })
})
