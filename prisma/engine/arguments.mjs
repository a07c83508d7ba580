/** The command line of the schema engine, as far as Prisma 6 and 7 use it. */
import { parseArgs } from 'node:util'

/** The last two say things that the WebAssembly engine has no way to be told; Postgres needs neither. */
const OPTIONS = {
  datamodels: { type: 'string', short: 'd', multiple: true },
  datasource: { type: 'string' },
  version: { type: 'boolean', short: 'V' },
  'enabled-preview-features': { type: 'string' },
  'extension-types': { type: 'string' },
}

/**
 * @param {string[]} argv without the program's name
 * @returns {{version: boolean, datamodels: string[], datasource: {url?: string, shadowDatabaseUrl?: string}, command?: string}}
 *   `command` is that of `cli <command>`; without it the engine serves JSON-RPC
 * @throws {Error} for what it cannot read; the text never repeats a value
 */
export function readArguments(argv) {
  const { values, positionals } = parse(argv)
  if (positionals.length > 0 && (positionals[0] !== 'cli' || positionals.length !== 2)) {
    throw new Error('The schema engine takes no arguments but options and `cli <command>`.')
  }
  return {
    version: values.version ?? false,
    datamodels: values.datamodels ?? [],
    datasource: readDatasource(values.datasource),
    command: positionals[1],
  }
}

/** Node's own messages repeat what was typed, which may be a URL. */
function parse(argv) {
  try {
    return parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
  } catch (error) {
    throw new Error(`The schema engine's arguments could not be read (${error.code}).`)
  }
}

function readDatasource(text) {
  if (text === undefined) return {}
  // As Prisma 6 says it.
  if (!text.startsWith('{')) return { url: text }
  try {
    const { url, shadowDatabaseUrl } = JSON.parse(text)
    return { url, shadowDatabaseUrl }
  } catch {
    throw new Error('The value of `--datasource` is not JSON.')
  }
}
