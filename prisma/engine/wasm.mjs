/**
 * Prisma's schema engine as WebAssembly: loading it, and starting it on an adapter.
 *
 * It is compiled here instead of imported, since Node 20 imports WebAssembly only behind a flag.
 */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { log } from './log.mjs'
import { readEngine } from './version.mjs'

let loaded
let panic

/** What a Rust panic said, if the engine has panicked: after that it must not be called again. */
export const lastPanic = () => panic

/**
 * Loads the engine, once.
 *
 * @param {ReturnType<typeof import('./version.mjs').findEngine>} found
 * @returns {Promise<typeof import('@prisma/schema-engine-wasm')>}
 */
export function loadEngine(found) {
  loaded ??= load(found)
  return loaded
}

async function load(found) {
  const [glue, module] = await Promise.all([import(pathToFileURL(found.glue)), WebAssembly.compile(readEngine(found))])
  checkFit(found, glue, module)
  const { exports } = await WebAssembly.instantiate(module, { './schema_engine_bg.js': glue })
  globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: (message) => (panic = message) }
  glue.__wbg_set_wasm(exports)
  exports.__wbindgen_start()
  return glue
}

/** Both halves name all that they want of each other, so halves of two releases go together or are told apart before anything runs. */
function checkFit(found, glue, module) {
  const given = new Set(WebAssembly.Module.exports(module).map(({ name }) => name))
  const taken = readFileSync(found.glue, 'utf8').matchAll(/\bwasm\.(\w+)/g)
  const lacks = [
    ...WebAssembly.Module.imports(module).filter(({ name }) => typeof glue[name] !== 'function').map(({ name }) => name),
    ...[...taken].map(([, name]) => name).filter((name) => !given.has(name)),
  ]
  if (lacks.length > 0) throw new Error(`The halves of the WebAssembly schema engine do not go together: \`${lacks[0]}\` is missing.`)
}

/**
 * Starts an engine.
 *
 * @param {typeof import('@prisma/schema-engine-wasm')} library from `loadEngine`
 * @param {object} options
 * @param {[string, string][]} options.datamodels path and text of each schema file; they only name the namespaces
 * @param {object} options.factory what opens adapters
 * @param {(name: string) => void} [options.onMigration] called when a migration is about to be applied
 */
export function startEngine(library, { datamodels, factory, onMigration = () => {} }) {
  const onLog = (line) => {
    const entry = JSON.parse(line)
    if (entry.span?.name === 'Applying migration') onMigration(entry.span.migration_name)
    // Lower levels hold whole schemas and scripts, and nobody reads them.
    if (entry.level === 'WARN' || entry.level === 'ERROR') log(entry.level, entry.fields.message)
  }
  // An empty list would mean "a schema without models", none at all "no schema given".
  return library.SchemaEngine.new({ datamodels: datamodels.length > 0 ? datamodels : undefined }, onLog, factory)
}
