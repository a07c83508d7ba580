/** The real Prisma CLI on top of the engine, from deploy to introspection. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { applying, database, LAUNCHER, LOCK, prisma, request, serverUrl, writeProject } from './harness.mjs'

const CONFIG = `export default {
  schema: 'schema.prisma',
  migrations: { path: 'migrations' },
  datasource: { url: process.env.DATABASE_URL, shadowDatabaseUrl: process.env.SHADOW_DATABASE_URL || undefined },
}\n`
const SCHEMA = 'datasource db {\n  provider = "postgresql"\n}\n\nmodel Cat {\n  id   Int    @id @default(autoincrement())\n  name String\n}\n'
const FIRST = 'CREATE TABLE "Cat" ("id" SERIAL NOT NULL, "name" TEXT NOT NULL, CONSTRAINT "Cat_pkey" PRIMARY KEY ("id"));\n'

const project = (t, files = {}) =>
  writeProject(t, {
    'prisma.config.mjs': CONFIG,
    'schema.prisma': SCHEMA,
    'migrations/migration_lock.toml': LOCK.content,
    'migrations/1_cats/migration.sql': FIRST,
    ...files,
  })

function addMigration(folder, name, text) {
  mkdirSync(join(folder, 'migrations', name), { recursive: true })
  writeFileSync(join(folder, 'migrations', name, 'migration.sql'), text)
}

describe('the Prisma CLI', { concurrency: 4 }, () => {
  it('deploy creates a missing database, status follows, and a failure is settled with resolve', async (t) => {
    const db = await database(t, { missing: true })
    const options = { url: db.url }
    const folder = project(t)
    const deploy = () => prisma(folder, ['migrate', 'deploy'], options)
    const status = () => prisma(folder, ['migrate', 'status'], options)
    const created = await deploy()
    assert.equal(created.code, 0, created.stderr)
    assert.match(created.stdout, /PostgreSQL database \S+ created[^]*Applying migration `1_cats`[^]*successfully applied/)
    assert.match((await status()).stdout, /Database schema is up to date!/)
    addMigration(folder, '2_bad', 'ALTER TABLE "Cat" ADD COLUMN "age" INT;\nSELECT nope;\n')
    const pending = await status()
    assert.equal(pending.code, 1)
    assert.match(pending.stdout + pending.stderr, /have not yet been applied:\n2_bad/)
    const failed = await deploy()
    assert.equal(failed.code, 1)
    assert.match(failed.stderr, /Error: P3018\n\n[^]*Migration name: 2_bad[^]*ERROR: column "nope" does not exist/)
    assert.match((await status()).stderr, /Following migration have failed:\n2_bad/)
    addMigration(folder, '2_bad', 'ALTER TABLE "Cat" ADD COLUMN "age" INT;\n')
    assert.equal((await prisma(folder, ['migrate', 'resolve', '--rolled-back', '2_bad'], options)).code, 0)
    assert.equal((await deploy()).code, 0)
  })

  it('diff shows on stdout what differs, and says it by its exit code', async (t) => {
    const [db, shadow] = [await database(t), await database(t)]
    const options = { url: db.url, shadowDatabaseUrl: shadow.url }
    const folder = project(t)
    const diff = (...args) => prisma(folder, ['migrate', 'diff', '--exit-code', '--script', ...args], options)
    const same = await diff('--from-migrations', 'migrations', '--to-schema', 'schema.prisma')
    assert.deepEqual([same.code, same.stdout.trim()], [0, '-- This is an empty migration.'])
    const live = await diff('--from-config-datasource', '--to-schema', 'schema.prisma')
    assert.equal(live.code, 2)
    assert.match(live.stdout, /CREATE TABLE ("public"\.)?"Cat"/)
    assert.deepEqual(await db.sql(`SELECT 1 FROM pg_class WHERE relname = 'Cat'`), [])
  })

  it('reset --force empties the database and applies the history again', async (t) => {
    const db = await database(t)
    const folder = project(t)
    await request(t, { url: db.url }, 'applyMigrations', applying(['1_cats', FIRST]))
    await db.sql(`INSERT INTO "Cat" (name) VALUES ('Tom'); CREATE TABLE stray (id int)`)
    const { code, stdout, stderr } = await prisma(folder, ['migrate', 'reset', '--force'], { url: db.url })
    assert.equal(code, 0, stderr)
    assert.match(stdout, /Database reset successful/)
    assert.deepEqual(await db.sql(`SELECT count(*)::int AS cats, to_regclass('stray') AS stray FROM "Cat"`), [{ cats: 0, stray: null }])
  })

  it('db execute runs a script, and reports its error', async (t) => {
    const db = await database(t)
    const folder = project(t, { 'ok.sql': "CREATE TABLE a (t text); INSERT INTO a VALUES ('x;y');", 'bad.sql': 'SELECT 1/0;' })
    assert.equal((await prisma(folder, ['db', 'execute', '--file', 'ok.sql'], { url: db.url })).code, 0)
    assert.deepEqual(await db.sql('SELECT t FROM a'), [{ t: 'x;y' }])
    const bad = await prisma(folder, ['db', 'execute', '--file', 'bad.sql'], { url: db.url })
    assert.equal(bad.code, 1)
    assert.match(bad.stderr, /ERROR: division by zero/)
  })

  it('db push makes the schema, and db pull reads arrays, enums and views back', async (t) => {
    const db = await database(t)
    const folder = project(t)
    const pushed = await prisma(folder, ['db', 'push'], { url: db.url })
    assert.equal(pushed.code, 0, pushed.stderr)
    await db.sql(`CREATE TYPE mood AS ENUM ('happy', 'sad');
      CREATE TABLE feeling (id bigserial PRIMARY KEY, moods mood[] NOT NULL, tags text[], at timestamptz(3) DEFAULT now(), price numeric(10,2), doc jsonb);
      CREATE VIEW happy AS SELECT id FROM feeling`)
    const { code, stdout, stderr } = await prisma(folder, ['db', 'pull', '--print'], { url: db.url })
    assert.equal(code, 0, stderr)
    assert.match(stdout, /enum mood \{\n {2}happy\n {2}sad\n\}/)
    assert.match(stdout, /moods +mood\[\]\n +tags +String\[\]\n +at +DateTime\? +@default\(now\(\)\) +@db\.Timestamptz\(3\)/)
    assert.match(stdout, /price +Decimal\? +@db\.Decimal\(10, 2\)\n +doc +Json\?/)
    assert.match(stdout, /model Cat \{/)
  })

  it('migrate dev --create-only writes a migration by way of a temporary shadow database', async (t) => {
    const db = await database(t)
    const folder = project(t)
    await request(t, { url: db.url }, 'applyMigrations', applying(['1_cats', FIRST]))
    writeFileSync(join(folder, 'schema.prisma'), SCHEMA.replace('name String', 'name String\n  age  Int?'))
    const { code, stderr } = await prisma(folder, ['migrate', 'dev', '--create-only', '--name', 'age'], { url: db.url })
    assert.equal(code, 0, stderr)
    const [created] = readdirSync(join(folder, 'migrations')).filter((name) => name.endsWith('_age'))
    assert.match(readFileSync(join(folder, 'migrations', created, 'migration.sql'), 'utf8'), /ADD COLUMN +"age" INTEGER/)
  })

  it('connection errors carry their code', async (t) => {
    const folder = project(t)
    const status = (url) => prisma(folder, ['migrate', 'status'], { url })
    const db = await database(t, { missing: true })
    const wrong = await status(serverUrl({ password: 'wrong-password-1' }))
    assert.match(wrong.stdout + wrong.stderr, /Error: P1000: Authentication failed/)
    assert.match((await status(db.url)).stderr, /Error: P1003: Database `\S+` does not exist/)
  })

  it('a SQLite schema validates and generates, and its database gets one clear line', async (t) => {
    const generator = 'generator client {\n  provider = "prisma-client"\n  output = "./client"\n}\n'
    const folder = project(t, {
      'schema.prisma': generator + SCHEMA.replace('postgresql', 'sqlite'),
      'migrations/migration_lock.toml': 'provider = "sqlite"\n',
    })
    const run = (...args) => prisma(folder, args, { url: 'file:./dev.db', program: LAUNCHER, env: { PRISMA_SCHEMA_ENGINE_BINARY: undefined } })
    assert.equal((await run('validate')).code, 0)
    const generated = await run('generate')
    assert.equal(generated.code, 0, generated.stderr)
    assert.ok(existsSync(join(folder, 'client')))
    const { code, stderr } = await run('migrate', 'deploy')
    assert.equal(code, 1)
    assert.match(stderr, /Error: P1019: A SQLite database needs Prisma's own schema engine[^\n]*\n/)
    assert.ok(!existsSync(join(folder, 'dev.db')))
  })

  it('the launcher passes the exit code on', async (t) => {
    const folder = project(t)
    const options = { url: serverUrl(), program: LAUNCHER, env: { PRISMA_SCHEMA_ENGINE_BINARY: undefined } }
    assert.equal((await prisma(folder, ['migrate', 'diff', '--from-empty', '--to-schema', 'schema.prisma', '--exit-code'], options)).code, 2)
  })
})
