#!/usr/bin/env node
/**
 * Prisma's schema engine, where its binary cannot be downloaded: the program that PRISMA_SCHEMA_ENGINE_BINARY names.
 *
 * It runs the same engine from Prisma's own WebAssembly package, of exactly the commit that the installed CLI wants, and
 * answers as the native one does. See README.md for what is the engine's and what is emulated.
 */
import { readFileSync } from 'node:fs'
import { readArguments } from './arguments.mjs'
import { errorData } from './errors.mjs'
import { log } from './log.mjs'
import { findEngine } from './version.mjs'

// Everything is given by arguments. What `pg` would pick up from here (PGOPTIONS, PGHOST…) the native engine ignores.
for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name]
// A warning of Node's on stderr would break the CLI's parser.
process.removeAllListeners('warning')

/** The subcommands of `schema-engine cli`, and what each logs when it has worked. */
const COMMANDS = {
  'can-connect-to-database': async (admin, target) => {
    await admin.tryDatabase(target)
    return 'Connection successful'
  },
  'create-database': async (admin, target) => `Database '${await admin.createDatabase(target)}' was successfully created.`,
  'drop-database': async (admin, target) => {
    await admin.dropDatabase(target)
    return 'The database was successfully dropped.'
  },
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  fail(error)
}

async function main(argv) {
  if (argv.includes('--version') || argv.includes('-V')) {
    process.stdout.write(`schema-engine-cli ${findEngine().commit}\n`)
    return
  }
  log('INFO', 'Starting schema engine') // Before anything can fail: the CLI takes the first line for this one.
  const { datamodels, datasource, command } = readArguments(argv)
  const found = findEngine()
  if (command === undefined) await serveRpc(found, datamodels, datasource)
  else await runCommand(command, datasource)
}

/** Loads neither the WebAssembly engine nor what goes with it. */
async function runCommand(name, { url }) {
  if (!Object.hasOwn(COMMANDS, name)) throw new Error('There is no such command of the schema engine.')
  const [admin, { parseDatasource }] = await Promise.all([import('./admin.mjs'), import('./datasource.mjs')])
  log('INFO', await COMMANDS[name](admin, parseDatasource(url ?? '')))
}

async function serveRpc(found, paths, datasource) {
  const [{ Engine }, { serve, crash }] = await Promise.all([import('./engine.mjs'), import('./rpc.mjs')])
  const datamodels = paths.map((path) => [path, readFileSync(path, 'utf8')])
  process.on('uncaughtException', (error) => crash(error.message))
  serve((print) => new Engine({ found, datamodels, datasource, print }))
}

function fail(error) {
  const { message, error_code: code = '' } = errorData(error)
  log('ERROR', message, { error_code: code, is_panic: false })
  process.exitCode = 1
}
