#!/usr/bin/env node
/**
 * Runs the Prisma CLI of this project, with an engine that is there.
 *
 * `node prisma/engine/prisma.mjs <arguments>` is `npx prisma <arguments>`, except that where the native schema engine was
 * not downloaded, the CLI is told to use schema-engine.mjs instead of trying the download and failing. The CLI runs in
 * this very process, so terminal, signals and exit code are its own.
 */
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findCli } from './version.mjs'

/** Did the CLI's installation bring the native engine? It is named after the platform: `schema-engine-debian-openssl-3.0.x`. */
function hasNativeEngine(cli) {
  const enginesFolder = dirname(dirname(createRequire(cli).resolve('@prisma/engines')))
  return readdirSync(enginesFolder).some((name) => name.startsWith('schema-engine-'))
}

function main() {
  const cli = findCli(process.cwd())
  if (!hasNativeEngine(cli)) {
    process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= fileURLToPath(new URL('schema-engine.mjs', import.meta.url))
  }
  process.env.CHECKPOINT_DISABLE ??= '1' // Else every command asks a server of Prisma's for updates.
  const program = join(dirname(cli), 'build', 'index.js')
  process.argv[1] = program
  createRequire(cli)(program)
}

try {
  main()
} catch (error) {
  process.stderr.write(`error: ${error.message}\n`)
  process.exitCode = 1
}
