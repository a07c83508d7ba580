/** What the datasource block of a Prisma schema says: up to Prisma 6 the URLs stand there, from 7 on in the config. */

/** A comment of either kind, a text, a word, or anything else one by one: as the interposer reads it, which checks what stands there. */
const TOKEN = /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:\\.|[^"\\])*"|[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|\S/gu

/**
 * @param {string[]} texts the files of one schema
 * @param {Record<string, string | undefined>} environment where `env("NAME")` is looked up
 * @returns {{url?: string, shadowDatabaseUrl?: string}} `url` is `directUrl` where the block has one, as for the native engine
 * @throws {Error} if it names a variable that is not set
 */
export function datasourceOf(texts, environment = process.env) {
  const tokens = texts.map(blockOf).find(Boolean) ?? []
  const read = (property) => valueOf(tokens, property, environment)
  return { url: read('directUrl') ?? read('url'), shadowDatabaseUrl: read('shadowDatabaseUrl') }
}

/** The provider that a schema file names, if it has a datasource block. */
export const providerOf = (text) => valueOf(blockOf(text) ?? [], 'provider', {})

function blockOf(text) {
  if (!text.includes('datasource')) return undefined
  const tokens = text.match(TOKEN).filter((token) => !/^\/[/*]/.test(token))
  const start = tokens.findIndex((token, at) => token === 'datasource' && tokens[at + 2] === '{')
  return start < 0 ? undefined : tokens.slice(start + 3, tokens.indexOf('}', start))
}

function valueOf(tokens, property, environment) {
  const at = tokens.findIndex((token, index) => token === property && tokens[index + 1] === '=')
  if (at < 0) return undefined
  if (tokens[at + 2] !== 'env') return JSON.parse(tokens[at + 2])
  const name = JSON.parse(tokens[at + 4])
  // A shadow database is optional: a variable that is not set is none, as the native engine has it.
  if (environment[name] || property === 'shadowDatabaseUrl') return environment[name] || undefined
  throw new Error(`Environment variable not found: ${name}.`)
}
