/** Applying migrations: what is one transaction, what is recorded, and what is refused. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { applying, database, engine, LOCK, migrationsList, NO_FILTER, request } from './harness.mjs'

const ledger = (db) => db.sql('SELECT migration_name, finished_at, rolled_back_at, logs FROM _prisma_migrations ORDER BY started_at')

const TRICKY = `
  CREATE TABLE note (id serial PRIMARY KEY, body text);
  INSERT INTO note (body) VALUES ('a;b'), ('it''s; fine'), (E'\\';'); -- a comment; with a semicolon
  CREATE FUNCTION bump() RETURNS int LANGUAGE plpgsql AS $body$
    BEGIN EXECUTE $$ INSERT INTO note (body) VALUES ('from; the function') $$; RETURN 1; END;
  $body$;
  /* block; comment */ SELECT bump();`

describe('migrations', { concurrency: 4 }, () => {
  it('dollar quotes and semicolons in strings survive', async (t) => {
    const db = await database(t)
    const { result, prints } = await request(t, { url: db.url }, 'applyMigrations', applying(['1_tricky', TRICKY]))
    assert.deepEqual(result, { appliedMigrationNames: ['1_tricky'] })
    assert.deepEqual(prints, ['Applying migration `1_tricky`'])
    assert.deepEqual((await db.sql('SELECT body FROM note ORDER BY id')).map((row) => row.body), [
      'a;b',
      "it's; fine",
      "';",
      'from; the function',
    ])
  })

  it('a failing statement undoes its whole file, and is P3018, then P3009', async (t) => {
    const db = await database(t)
    const both = applying(['1_ok', 'CREATE TABLE kept (id int)'], ['2_bad', 'CREATE TABLE gone (id int);\n\nSELECT nope;'])
    const { call } = engine(t, { url: db.url })
    const failed = (await call('applyMigrations', both)).error
    assert.equal(failed.code, 4466)
    assert.equal(failed.data.error_code, 'P3018')
    assert.match(failed.data.message, /Migration name: 2_bad\n\nDatabase error code: 42703\n\nDatabase error:\nERROR: column "nope"/)
    assert.match(failed.data.message, /Position:\n[^]* {2}3\x1b\[1;31m SELECT nope;/)
    assert.match(failed.data.message, /DbError \{ severity: "ERROR", .*position: Some\(Original\(37\)\)/)
    assert.deepEqual(await db.sql(`SELECT to_regclass('kept') IS NOT NULL AS kept, to_regclass('gone') AS gone`), [
      { kept: true, gone: null },
    ])
    const [first, second] = await ledger(db)
    assert.ok(first.finished_at)
    assert.equal(second.finished_at, null)
    assert.match(second.logs, /^A migration failed to apply[^]*column "nope" does not exist[^]*\n {3}0: /)
    const again = (await call('applyMigrations', both)).error.data
    assert.equal(again.error_code, 'P3009')
    assert.match(again.message, /The `2_bad` migration started at .* failed/)
  })

  it('a COMMIT inside a file keeps what came before it', async (t) => {
    const db = await database(t)
    const script = 'BEGIN; CREATE TABLE kept (id int); COMMIT; CREATE TABLE gone (id int); SELECT 1/0;'
    const { error } = await request(t, { url: db.url }, 'applyMigrations', applying(['1_split', script]))
    assert.equal(error.data.error_code, 'P3018')
    assert.deepEqual(await db.sql(`SELECT to_regclass('kept') IS NOT NULL AS kept, to_regclass('gone') AS gone`), [
      { kept: true, gone: null },
    ])
  })

  it('a BEGIN without COMMIT that fails reports the aborted transaction, as the native engine does', async (t) => {
    const db = await database(t)
    const { error } = await request(t, { url: db.url }, 'applyMigrations', applying(['1_open', 'BEGIN; SELECT 1/0; COMMIT;']))
    assert.equal(error.data.error_code, undefined)
    assert.match(error.data.message, /current transaction is aborted/)
  })

  it('CREATE INDEX CONCURRENTLY works alone, and is 25001 with others', async (t) => {
    const db = await database(t)
    await db.sql('CREATE SCHEMA other; CREATE TABLE other.t (id int)')
    const alone = ['1_alone', 'CREATE INDEX CONCURRENTLY i ON other.t (id);']
    const { call } = engine(t, { url: db.url })
    assert.ok((await call('applyMigrations', applying(alone))).result)
    const together = ['2_together', 'SELECT 1; CREATE INDEX CONCURRENTLY j ON other.t (id);']
    const { data } = (await call('applyMigrations', applying(alone, together))).error
    assert.match(data.message, /Database error code: 25001/)
  })

  it('a database with tables but no ledger is P3005', async (t) => {
    const db = await database(t)
    await db.sql('CREATE TABLE theirs (id int)')
    const { error } = await request(t, { url: db.url }, 'applyMigrations', applying(['1', 'SELECT 1']))
    assert.equal(error.data.error_code, 'P3005')
  })

  it('a folder without migration.sql is P3015', async (t) => {
    const db = await database(t)
    const params = applying(['1_empty', ''])
    params.migrationsList.migrationDirectories[0].migrationFile.content = { tag: 'error', value: 'ENOENT' }
    const { error } = await request(t, { url: db.url }, 'applyMigrations', params)
    assert.equal(error.data.error_code, 'P3015')
  })

  it('a lock of another provider is P3019', async (t) => {
    const db = await database(t)
    const lockfile = { ...LOCK, content: 'provider = "sqlite"\n' }
    const params = { migrationsList: migrationsList([['1', 'SELECT 1']], lockfile), filters: NO_FILTER }
    const { error } = await request(t, { url: db.url }, 'applyMigrations', params)
    assert.equal(error.data.error_code, 'P3019')
  })

  it('a failed migration can be marked as rolled back or as applied, another can not', async (t) => {
    const db = await database(t)
    const { call } = engine(t, { url: db.url })
    const list = applying(['1_ok', 'SELECT 1'], ['2_bad', 'SELECT 1/0'])
    await call('applyMigrations', list)
    const code = async (method, params) => (await call(method, params)).error?.data.error_code
    assert.equal(await code('markMigrationRolledBack', { migrationName: '9_unknown' }), 'P3011')
    assert.equal(await code('markMigrationRolledBack', { migrationName: '1_ok' }), 'P3012')
    assert.equal(await code('markMigrationApplied', { ...list, migrationName: '1_ok' }), 'P3008')
    assert.equal(await code('markMigrationApplied', { ...list, migrationName: '9_unknown' }), 'P3017')
    assert.equal(await code('markMigrationRolledBack', { migrationName: '2_bad' }), undefined)
    assert.equal(await code('markMigrationApplied', { ...list, migrationName: '2_bad' }), undefined)
    assert.deepEqual((await call('applyMigrations', list)).result, { appliedMigrationNames: [] })
  })

  it('two deploys at once apply each migration once', async (t) => {
    const db = await database(t)
    const list = applying(['1_slow', 'CREATE TABLE once (id int); SELECT pg_sleep(0.5);'])
    const answers = await Promise.all([1, 2].map(() => request(t, { url: db.url }, 'applyMigrations', list)))
    const applied = answers.flatMap((answer) => answer.result.appliedMigrationNames)
    assert.deepEqual(applied, ['1_slow'])
  })

  it('a lock held elsewhere is P1002 after 10 s, and nobody goes on waiting for it', async (t) => {
    const db = await database(t)
    const { call: hold } = engine(t, { url: db.url })
    await hold('dbExecute', { datasourceType: { tag: 'url', url: db.url }, script: 'SELECT pg_advisory_lock(72707369)' })
    const { error } = await request(t, { url: db.url }, 'applyMigrations', applying(['1', 'SELECT 1']))
    assert.equal(error.data.error_code, 'P1002')
    assert.match(error.data.message, /Timed out trying to acquire a postgres advisory lock/)
    const waiting = `SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database =
      (SELECT oid FROM pg_database WHERE datname = current_database())`
    const deadline = Date.now() + 5000
    while ((await db.sql(waiting))[0].n > 0) assert.ok(Date.now() < deadline, 'a session is still waiting')
  })
})
