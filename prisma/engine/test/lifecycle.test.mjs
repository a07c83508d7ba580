/** How the engine starts and ends: versions, bad input, the end of stdin, signals, and being killed. */
import assert from 'node:assert/strict'
import { closeSync, copyFileSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { applying, CLI, database, engine, engineCommand, until, writeProject } from './harness.mjs'

/** The sessions in this database that run `slow(seconds)`, and nobody who only asks for them. */
const sleeping = (seconds, what = '1') => `SELECT ${what} FROM pg_stat_activity WHERE state = 'active'
  AND datname = current_database() AND query LIKE 'CREATE TABLE slow%pg_sleep(${seconds})%'`
const slow = (seconds) => applying(['1_slow', `CREATE TABLE slow (id int); SELECT pg_sleep(${seconds});`])
const ENGINES_VERSION = createRequire(CLI).resolve('@prisma/engines-version/package.json', {
  paths: [dirname(createRequire(CLI).resolve('@prisma/engines'))],
})

/** A project with a Prisma CLI that wants the engine `version`, as far as the engine looks at it. */
function projectWanting(t, version) {
  return writeProject(t, {
    'node_modules/prisma/package.json': '{}',
    'node_modules/@prisma/engines-version/package.json': JSON.stringify({ version }),
  })
}

describe('the engine process', { concurrency: 4 }, () => {
  it('--version names the commit that the CLI wants', async () => {
    const { code, stdout } = await engineCommand(['--version'])
    const { prisma } = createRequire(import.meta.url)(ENGINES_VERSION)
    assert.deepEqual([code, stdout], [0, `schema-engine-cli ${prisma.enginesVersion}\n`])
  })

  it('another commit than the CLI wants is refused in one line with the fix', async (t) => {
    const cwd = projectWanting(t, '7.9.0-1.0123456789abcdef0123456789abcdef01234567')
    for (const args of [['--version'], [], ['cli', 'can-connect-to-database']]) {
      const { code, stdout, stderr } = await engineCommand(args, { cwd, url: 'postgresql://u:secret-pw@h/d' })
      const { level, fields } = JSON.parse(stderr.trim().split('\n').at(-1))
      assert.deepEqual([code, stdout, level], [1, '', 'ERROR'])
      assert.match(fields.message, /^The WebAssembly schema engine is .* wants 7\.9\.0-1\.0123.*: run `npm install .*7\.9\.0-1\.0123[^\n]*$/)
    }
  })

  it('an engine that differs from the one inside the CLI is refused', async (t) => {
    const { version } = createRequire(import.meta.url)(ENGINES_VERSION)
    const cwd = projectWanting(t, version)
    mkdirSync(join(cwd, 'node_modules/prisma/build'))
    const twin = join(cwd, 'node_modules/prisma/build/schema_engine_bg.wasm')
    copyFileSync(join(dirname(CLI), 'schema_engine_bg.wasm'), twin)
    const file = openSync(twin, 'r+')
    writeSync(file, 'x', 1_000_000)
    closeSync(file)
    const db = await database(t)
    const { child, call } = engine(t, { url: db.url, cwd })
    const { error } = await call('applyMigrations', applying(['1', 'SELECT 1']))
    child.stdin.end()
    assert.match(error.data.message, /differs from the one inside the installed Prisma CLI/)
  })

  it('an unknown method, an unreadable line and an unknown argument get an answer', async (t) => {
    const { child, call, answer } = engine(t)
    assert.equal((await call('nonsense', {})).error.code, -32601)
    const unreadable = answer(null)
    child.stdin.write('{"jsonrpc": \n')
    assert.equal((await unreadable).error.code, -32700)
    const { code, stderr } = await engineCommand(['--nonsense'])
    assert.equal(code, 1)
    assert.match(stderr, /arguments could not be read/)
  })

  it('a panic of the engine is exit 101 with a log line', async (t) => {
    const { call, ended } = engine(t)
    call('debugPanic')
    const { code, stderr } = await ended
    assert.equal(code, 101)
    assert.match(stderr, /"is_panic":true/)
  })

  it('the end of stdin and SIGINT let queued work finish', async (t) => {
    for (const end of [(child) => child.stdin.end(), (child) => child.kill('SIGINT')]) {
      const db = await database(t)
      const { child, call, ended } = engine(t, { url: db.url })
      const first = call('applyMigrations', slow(0.4))
      const second = call('getDatabaseVersion')
      await until(db.url, sleeping(0.4))
      end(child)
      assert.deepEqual((await first).result, { appliedMigrationNames: ['1_slow'] })
      assert.match((await second).result, /^PostgreSQL/)
      assert.equal((await ended).code, 0)
      assert.equal((await db.sql('SELECT 1 FROM _prisma_migrations WHERE finished_at IS NOT NULL')).length, 1)
    }
  })

  it('SIGTERM waits 4 s at most, then exits with 1', async (t) => {
    const db = await database(t)
    const { child, call, ended } = engine(t, { url: db.url })
    call('applyMigrations', slow(60))
    await until(db.url, sleeping(60))
    const start = Date.now()
    child.kill('SIGTERM')
    const { code, stderr } = await ended
    assert.equal(code, 1)
    assert.match(stderr, /Graceful shutdown timed out/)
    assert.ok(Date.now() - start > 3500)
  })

  it('SIGTERM with little to do ends well', async (t) => {
    const db = await database(t)
    const { child, call, ended } = engine(t, { url: db.url })
    const answer = call('applyMigrations', slow(0.6))
    await until(db.url, sleeping(0.6))
    child.kill('SIGTERM')
    assert.ok((await answer).result)
    assert.equal((await ended).code, 0)
  })

  it('a killed engine leaves the server to finish the script, and a ledger that says failed', async (t) => {
    const db = await database(t)
    const { child, call, ended } = engine(t, { url: db.url })
    call('applyMigrations', slow(1))
    await until(db.url, sleeping(1))
    child.kill('SIGKILL')
    await ended
    await until(db.url, `SELECT 1 WHERE NOT EXISTS (${sleeping(1)})`)
    await until(db.url, `SELECT 1 WHERE to_regclass('slow') IS NOT NULL`)
    const again = await engine(t, { url: db.url }).call('applyMigrations', slow(1))
    assert.equal(again.error.data.error_code, 'P3009')
  })

  it('a session that the server ends is reported, not a crash', async (t) => {
    const db = await database(t)
    const { call } = engine(t, { url: db.url })
    const answer = call('applyMigrations', slow(60))
    await until(db.url, sleeping(60))
    await db.sql(sleeping(60, 'pg_terminate_backend(pid)'))
    const { error } = await answer
    assert.ok(error.data.message)
    assert.equal(error.data.is_panic, false)
  })
})
