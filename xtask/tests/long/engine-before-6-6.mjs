// Stands in for the native engine of Prisma 5 and 6.0 to 6.5, which cannot be had where the tests run: their protocol, in which the
// engine reads the migrations' folder itself, in front of the engine of 6.6.0, which is told what is in it.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const [engine, ...words] = process.argv.slice(2)
const serves = !words.includes('cli') && !words.includes('--version')
const child = spawn(process.execPath, [engine, ...words], { stdio: [serves ? 'pipe' : 'inherit', 'inherit', 'inherit'] })
child.on('exit', (code, signal) => (signal ? process.kill(process.pid, signal) : process.exit(code)))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
if (serves) {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const message = JSON.parse(line)
    if (message.method !== 'listMigrationDirectories') return child.stdin.write(`${JSON.stringify(asked(message))}\n`)
    const migrations = folders(message.params.migrationsDirectoryPath)
    process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { migrations } })}\n`)
  })
  lines.once('close', () => child.stdin.end())
}

function asked(message) {
  const { migrationsDirectoryPath: folder, from, to, ...params } = message.params ?? {}
  if (folder) params.migrationsList = list(folder)
  for (const [name, side] of Object.entries({ from, to })) {
    if (side) params[name] = sideOf(side)
  }
  return { ...message, params: message.params && params }
}

/** A schema goes by its path in the oldest of them. */
function sideOf({ schema, ...side }) {
  if (side.tag === 'migrations') return { tag: 'migrations', ...list(side.path) }
  if (typeof schema !== 'string') return { ...side, schema }
  return { ...side, files: [{ path: schema, content: readFileSync(schema, 'utf8') }], configDir: dirname(schema) }
}

function folders(base) {
  if (!existsSync(base)) return []
  return readdirSync(base).filter((name) => statSync(join(base, name)).isDirectory()).sort()
}

function list(baseDir) {
  const text = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : null)
  const migration = (name) => {
    const value = text(join(baseDir, name, 'migration.sql'))
    const content = value === null ? { tag: 'error', value: 'not found' } : { tag: 'ok', value }
    return { path: name, migrationFile: { path: 'migration.sql', content } }
  }
  const lockfile = { path: 'migration_lock.toml', content: text(join(baseDir, 'migration_lock.toml')) }
  return { baseDir, lockfile, migrationDirectories: folders(baseDir).map(migration) }
}
