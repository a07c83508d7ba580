/**
 * Which engine commit the installed Prisma CLI wants, and whether the WebAssembly package holds just that.
 *
 * An engine of another commit may write another migration than the CLI's user reviewed, so a near match is a refusal.
 */
import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const PACKAGE = '@prisma/schema-engine-wasm'

/**
 * Finds the engine that the drill names, else the one for the CLI that is installed for the folder we run in, else beside this file.
 *
 * @param {string} [folder] where to look first
 * @returns {{commit: string, glue: string, wasm: string, twin: string}} the engine commit, and the paths of the
 *   engine's JavaScript half, of its WebAssembly half, and of the CLI's own copy of the latter
 * @throws {Error} one line with the fix, if a package is missing or the commits differ
 */
export function findEngine(folder = process.cwd()) {
  if (process.env.STAGING_DRILL_WASM) return namedByDrill(JSON.parse(process.env.STAGING_DRILL_WASM))
  const cli = findCli(folder)
  const wanted = wantedVersion(cli)
  const engine = resolveFrom(cli, `${PACKAGE}/schema_engine_bg`) ?? resolveFrom(import.meta.url, `${PACKAGE}/schema_engine_bg`)
  const fix = `run \`npm install --save-dev --save-exact ${PACKAGE}@${wanted}\``
  if (!engine) throw new Error(`The WebAssembly schema engine is not installed: ${fix}.`)
  const found = readJson(join(dirname(engine), 'package.json')).version
  if (commitOf(found) !== commitOf(wanted)) {
    throw new Error(`The WebAssembly schema engine is ${found}, but the installed Prisma CLI wants ${wanted}: ${fix}.`)
  }
  const wasm = join(dirname(engine), 'schema_engine_bg.wasm')
  return { commit: commitOf(found), glue: engine, wasm, twin: join(dirname(cli), 'build', 'schema_engine_bg.wasm') }
}

/** Under Yarn's Plug'n'Play the CLI lies in an archive, which only Yarn's own hook opens. */
function namedByDrill(named) {
  if (named.hook) createRequire(named.hook)(named.hook).setup()
  return named
}

/**
 * The CLI ships a copy of its engine's WebAssembly half; where it does, ours must be the same bytes.
 *
 * @param {{wasm: string, twin: string}} engine
 * @returns {Buffer} the WebAssembly half
 * @throws {Error} one line, if the two differ
 */
export function readEngine({ wasm, twin }) {
  const bytes = readFileSync(wasm)
  const size = statSync(twin, { throwIfNoEntry: false })?.size
  if (size === undefined || (size === bytes.length && bytes.equals(readFileSync(twin)))) return bytes
  throw new Error(`The WebAssembly schema engine differs from the one inside the installed Prisma CLI: run \`npm ci\`.`)
}

/**
 * The path of the CLI's package.json, for the CLI that a command in `folder` would run.
 *
 * @throws {Error} one line with the fix, if no CLI is installed
 */
export function findCli(folder) {
  const cli = resolveFrom(join(folder, 'x'), 'prisma/package.json') ?? resolveFrom(import.meta.url, 'prisma/package.json')
  if (!cli) throw new Error('The Prisma CLI is not installed: run `npm ci`.')
  return cli
}

/** The CLI depends on @prisma/engines, which depends on the package that names the engine's version. */
function wantedVersion(cli) {
  const engines = resolveFrom(cli, '@prisma/engines') ?? cli
  const version = resolveFrom(engines, '@prisma/engines-version/package.json')
  if (!version) throw new Error('The package `@prisma/engines-version` is not installed: run `npm ci`.')
  return readJson(version).version
}

/** `7.10.0-4.0edf323e…` ends with the commit. */
const commitOf = (version) => version.slice(version.lastIndexOf('.') + 1)

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))

function resolveFrom(file, specifier) {
  try {
    return createRequire(file).resolve(specifier)
  } catch {
    return undefined
  }
}
