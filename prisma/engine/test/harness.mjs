/**
 * What the tests share: a database of their own, the engine as a child process, and the real Prisma CLI on top of it.
 *
 * Whatever a child prints is searched for the passwords that it was given, in every test.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

const SERVER = process.env.ENGINE_TEST_URL
if (!SERVER) {
  throw new Error(
    'These tests need a server and a role that may create databases and roles: ' +
      'ENGINE_TEST_URL="$(cargo xtask sandbox url)" ENGINE_TEST_DRILL=target/debug/xtask node --test prisma/engine/test/*.test.mjs',
  )
}

/** The variable with which the drill tells the engine where it is, as if Prisma were of this release. */
export function splitting(release) {
  const program = process.env.ENGINE_TEST_DRILL
  if (!program) throw new Error('These tests need the drill: ENGINE_TEST_DRILL=target/debug/xtask')
  return { STAGING_DRILL_SPLITTER: JSON.stringify({ program: resolve(program), release }) }
}

export const ENGINE = fileURLToPath(new URL('../schema-engine.mjs', import.meta.url))
export const LAUNCHER = fileURLToPath(new URL('../prisma.mjs', import.meta.url))
export const CLI = join(dirname(createRequire(import.meta.url).resolve('prisma/package.json')), 'build', 'index.js')
export const NO_FILTER = { externalTables: [], externalEnums: [] }
export const LOCK = { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' }

/** The variables by which Prisma's guard for AI agents knows one: a reset in a test is not an agent's decision. */
const AGENT_MARKERS =
  /^(CLAUDECODE|GEMINI_CLI|QWEN_CODE|CURSOR_AGENT|OR_APP_NAME|REPLIT_.*|CODEX_.*|COPILOT_CLI|OPENCODE.*|CLINE_ACTIVE|AGENT|AI_AGENT|CRUSH|AUGMENT_AGENT|ANTIGRAVITY_AGENT)$/

const childEnv = (env) => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !AGENT_MARKERS.test(name))),
  CHECKPOINT_DISABLE: '1',
  PRISMA_SCHEMA_ENGINE_BINARY: ENGINE,
  ...env,
})

/** The server's URL with other parts. */
export function serverUrl({ database, user, password, host, port, query } = {}) {
  const url = new URL(SERVER)
  if (database !== undefined) url.pathname = `/${database}`
  if (user !== undefined) url.username = user
  if (password !== undefined) url.password = password
  if (host !== undefined) url.hostname = host
  if (port !== undefined) url.port = port
  return url.toString() + (query ? `${url.search ? '&' : '?'}${query}` : '')
}

/** Runs statements on a database. */
export async function sql(url, text, values) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

/** Creates an empty database that is dropped after the test. `name` without creating it: `missing: true`. */
export async function database(t, { missing = false } = {}) {
  const name = `engine_test_${randomUUID().replaceAll('-', '')}`
  const url = serverUrl({ database: name })
  if (!missing) await sql(SERVER, `CREATE DATABASE ${name}`)
  t.after(() => sql(SERVER, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return { name, url, sql: (text, values) => sql(url, text, values) }
}

/** Creates a role that is dropped after the test. */
export async function role(t, password, options = 'LOGIN') {
  const name = `engine_test_${randomUUID().replaceAll('-', '')}`
  await sql(SERVER, `CREATE ROLE ${name} ${options} PASSWORD ${pg.escapeLiteral(password)}`)
  t.after(() => sql(SERVER, `DROP ROLE ${name}`))
  return name
}

/** Waits until a query on a database gives a row, asking again and again. */
export async function until(url, text) {
  const deadline = Date.now() + 15_000
  while ((await sql(url, text)).length === 0) assert.ok(Date.now() < deadline, `waited in vain for: ${text}`)
}

/** A list of migrations as the CLI sends it: [name, SQL] each. */
export function migrationsList(migrations, lockfile = LOCK) {
  return {
    baseDir: '/migrations',
    lockfile,
    shadowDbInitScript: '',
    migrationDirectories: migrations.map(([path, value]) => ({
      path,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok', value } },
    })),
  }
}

/** The parameters of `applyMigrations`. */
export const applying = (...migrations) => ({ migrationsList: migrationsList(migrations), filters: NO_FILTER })

/** Starts a program and collects what it prints. `secrets` must not be in there. */
function start(program, args, { cwd, env, stdin = 'pipe' } = {}, secrets = []) {
  const child = spawn(program, args, { cwd, env: childEnv(env), stdio: [stdin, 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr']) child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text))
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, ...output })))
  const checked = ended.then((result) => {
    for (const secret of secrets) assert.ok(!(result.stdout + result.stderr).includes(secret), 'a password was printed')
    return result
  })
  return { child, ended: checked }
}

/** The forms of a URL's password that could be printed. */
function secretsOf(...urls) {
  const passwords = urls.filter(Boolean).map((url) => /:\/\/[^:/@]*:([^@]*)@/.exec(url)?.[1]).filter(Boolean)
  return passwords.flatMap((password) => [password, decodeURIComponent(password)])
}

/** Starts the engine as the CLI does. `call` sends a request and waits for its answer. */
export function engine(t, { url, shadowDatabaseUrl, datamodel, cwd, env } = {}) {
  const args = datamodel ? ['--datamodels', writeProject(t, { 'schema.prisma': datamodel }, 'schema.prisma')] : []
  if (url) args.push('--datasource', JSON.stringify({ url, shadowDatabaseUrl }))
  const { child, ended } = start(ENGINE, args, { cwd, env }, secretsOf(url, shadowDatabaseUrl))
  const waiting = new Map()
  const prints = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line)
    if (message.method === 'print') prints.push(message.params.content)
    else waiting.get(message.id)?.(message)
  })
  t.after(() => child.kill('SIGKILL'))
  let last = 0
  const call = (method, params) => {
    const id = (last += 1)
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
    return new Promise((resolve) => waiting.set(id, resolve))
  }
  return { child, call, ended, prints, answer: (id) => new Promise((resolve) => waiting.set(id, resolve)) }
}

/** Sends one request, ends the input, and returns the answer. The engine must end well. */
export async function request(t, options, method, params) {
  const { child, call, ended, prints } = engine(t, options)
  const answer = await call(method, params)
  child.stdin.end()
  const { code, stderr } = await ended
  assert.equal(code, 0, stderr)
  return { ...answer, prints }
}

/** Runs `schema-engine [--datasource …] …`. */
export function engineCommand(args, { url, cwd, env } = {}) {
  const datasource = url === undefined ? [] : ['--datasource', JSON.stringify({ url })]
  return start(ENGINE, [...datasource, ...args], { cwd, env, stdin: 'ignore' }, secretsOf(url)).ended
}

/** Makes a folder with files, and returns its path, or that of one file in it. */
export function writeProject(t, files, file = '') {
  const folder = mkdtempSync(join(tmpdir(), 'engine-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return join(folder, file)
}

/** Runs the real CLI, or the launcher, in a project folder. */
export function prisma(folder, args, { url = '', shadowDatabaseUrl, env, program = CLI } = {}) {
  const variables = { DATABASE_URL: url, SHADOW_DATABASE_URL: shadowDatabaseUrl ?? '', ...env }
  const options = { cwd: folder, env: variables, stdin: 'ignore' }
  return start(process.execPath, [program, ...args], options, secretsOf(url, shadowDatabaseUrl)).ended
}
