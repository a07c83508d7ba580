/**
 * The engine's log: one JSON object a line on stderr, in the shape that the Prisma CLI parses.
 *
 * The CLI skips the first line, reads the others as JSON, and shows `fields.message` of the last ERROR line when the
 * engine exits with 1. So nothing else may ever reach stderr, and no line may hold a connection URL.
 */

/**
 * Writes one log line.
 *
 * @param {'INFO' | 'WARN' | 'ERROR'} level
 * @param {string} message one text, never with a secret in it
 * @param {Record<string, unknown>} [fields] e.g. `error_code` and `is_panic`, which the CLI looks for
 */
export function log(level, message, fields = {}) {
  const timestamp = new Date().toISOString()
  const line = { timestamp, level, fields: { message, ...fields }, target: 'schema_engine::logger' }
  process.stderr.write(`${JSON.stringify(line)}\n`)
}
