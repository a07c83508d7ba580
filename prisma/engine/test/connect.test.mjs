/** Reaching a server: URLs, passwords, TLS modes, the environment, and the `cli` subcommands. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { database, engineCommand, request, role, serverUrl } from './harness.mjs'

/** The last log line of a subcommand, as the CLI reads it: all lines but the first must be JSON. */
function lastLog({ stderr }) {
  return stderr.trim().split('\n').slice(1).map((line) => JSON.parse(line)).at(-1)
}

const canConnect = async (url, env) => {
  const result = await engineCommand(['cli', 'can-connect-to-database'], { url, env })
  const { level, fields, target } = lastLog(result)
  return { rc: result.code, level, target, code: fields.error_code, message: fields.message, all: result.stderr }
}

/** A port on which nobody listens: one that the system has just given out and taken back. */
const closedPort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

describe('connecting', { concurrency: 4 }, () => {
  it('a working URL is a success that loads no engine', async (t) => {
    const { rc, level, message } = await canConnect((await database(t)).url)
    assert.deepEqual({ rc, level, message }, { rc: 0, level: 'INFO', message: 'Connection successful' })
  })

  it('a wrong password is P1000, and so is an empty one', async () => {
    for (const password of ['not-the-password', '']) {
      const { rc, code, message, target } = await canConnect(serverUrl({ password }))
      assert.deepEqual({ rc, code, target }, { rc: 1, code: 'P1000', target: 'schema_engine::logger' })
      assert.match(message, /^Authentication failed against database server, the provided database credentials for `/)
    }
  })

  it('an unreachable server is P1001', async () => {
    const port = await closedPort()
    const { rc, code, message } = await canConnect(serverUrl({ host: '127.0.0.1', port }))
    assert.deepEqual({ rc, code }, { rc: 1, code: 'P1001' })
    assert.match(message, new RegExp(`^Can't reach database server at \`127.0.0.1:${port}\``))
  })

  it('a server that accepts and never answers is P1001 after connect_timeout', async (t) => {
    const server = createServer(() => {})
    t.after(() => server.close())
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    server.on('connection', (socket) => t.after(() => socket.destroy()))
    const { code } = await canConnect(`postgresql://u:secret-pw@127.0.0.1:${server.address().port}/d?connect_timeout=1`)
    assert.equal(code, 'P1001')
  })

  it('a missing database is P1003, and create-database makes it, once', async (t) => {
    const db = await database(t, { missing: true })
    const { code, message } = await canConnect(db.url)
    assert.deepEqual({ code, message }, { code: 'P1003', message: `Database \`${db.name}\` does not exist` })
    const create = () => engineCommand(['cli', 'create-database'], { url: `${db.url}?schema=other` })
    assert.equal(lastLog(await create()).fields.message, `Database '${db.name}' was successfully created.`)
    assert.equal((await db.sql(`SELECT 1 FROM pg_namespace WHERE nspname = 'other'`)).length, 1)
    assert.equal(lastLog(await create()).fields.error_code, 'P1009')
    const dropped = await engineCommand(['cli', 'drop-database'], { url: db.url })
    assert.equal(lastLog(dropped).fields.message, 'The database was successfully dropped.')
    assert.equal((await canConnect(db.url)).code, 'P1003')
  })

  it('what is not a PostgreSQL URL is refused without repeating it', async () => {
    for (const [url, code] of [
      ['mysql://u:secret-pw@h/d', 'P1013'],
      ['postgresql://u:secret-pw@h:543x/d', 'P1013'],
      ['postgresql://u:secret-pw@h/d?schema=a%22b', 'P1013'],
      ['postgresql://u:secret-pw@h/d?connect_timeout=soon', 'P1013'],
      ['postgresql://u:secret-pw@h/d?sslcert=/does/not/exist', 'P1013'],
      ['prisma+postgres://localhost/?api_key=secret-pw', 'P1019'],
      ['file:./dev.db', 'P1019'],
    ]) {
      const result = await canConnect(url)
      assert.deepEqual([url, result.rc, result.code], [url, 1, code])
      assert.ok(!result.all.includes('secret-pw'), 'the password was printed')
      assert.ok(!result.message.includes('\n'), 'one line')
    }
  })

  it('a password of special characters works percent-encoded', async (t) => {
    const password = "p@ss/w#rd?&=%:'\" ü"
    const url = serverUrl({ user: await role(t, password), password: encodeURIComponent(password) })
    assert.equal((await canConnect(url)).message, 'Connection successful')
  })

  it('each sslmode is accepted, and require fails on a server without TLS', async (t) => {
    const db = await database(t)
    for (const mode of ['disable', 'prefer']) {
      assert.equal((await canConnect(`${db.url}?sslmode=${mode}`)).message, 'Connection successful')
    }
    const [{ ssl }] = await db.sql('SHOW ssl')
    for (const mode of ['require', 'verify-full']) {
      const { code, rc } = await canConnect(`${db.url}?sslmode=${mode}`)
      if (ssl === 'off') assert.deepEqual([mode, rc, code], [mode, 1, 'P1011'])
    }
  })

  it('the environment moves nobody', async (t) => {
    const db = await database(t)
    const env = { PGHOST: '192.0.2.1', PGPORT: '1', PGUSER: 'x', PGOPTIONS: '-c search_path=x', PGSSLMODE: 'verify-full', PGDATABASE: 'x' }
    assert.equal((await canConnect(db.url, env)).message, 'Connection successful')
    assert.equal((await canConnect(serverUrl({ password: '' }), { PGPASSWORD: new URL(serverUrl()).password })).code, 'P1000')
  })

  it('`schema` is where the ledger and the tables go', async (t) => {
    const db = await database(t)
    const url = `${db.url}?schema=other`
    const migration = { path: '1', migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: 'CREATE TABLE t ()' } } }
    const list = { baseDir: '/', lockfile: { path: 'l', content: null }, shadowDbInitScript: '', migrationDirectories: [migration] }
    const { result } = await request(t, { url }, 'applyMigrations', { migrationsList: list, filters: { externalTables: [], externalEnums: [] } })
    assert.deepEqual(result, { appliedMigrationNames: ['1'] })
    const tables = await db.sql(`SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'other'::regnamespace ORDER BY 1`)
    assert.deepEqual(tables.map((row) => row.relname), ['_prisma_migrations', 't'])
  })

  it('startup options and application_name reach the server', async (t) => {
    const db = await database(t)
    const url = `${db.url}?application_name=drill&options=${encodeURIComponent('-c lock_timeout=1234')}`
    const script = `DO $$ BEGIN RAISE EXCEPTION '% %', current_setting('application_name'), current_setting('lock_timeout'); END $$`
    const { error } = await request(t, { url }, 'dbExecute', { datasourceType: { tag: 'url', url }, script })
    assert.match(error.data.message, /^ERROR: drill 1234ms/)
  })
})
