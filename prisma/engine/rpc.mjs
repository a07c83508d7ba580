/**
 * JSON-RPC over stdin and stdout, one message a line.
 *
 * Requests are answered one after the other, in the order in which they came: the native engine's sessions do the same.
 * The end of the input is not the end of the work: what was asked for is finished first, since a migration that is
 * running on the server would finish anyway, and somebody has to write that down.
 */
import { createInterface } from 'node:readline'
import { UnknownMethod } from './engine.mjs'
import { errorData } from './errors.mjs'
import { log } from './log.mjs'
import { lastPanic } from './wasm.mjs'

/** JSON-RPC's own codes, and the one that the native engine gives with every error of its own. */
const PARSE_ERROR = -32700
const METHOD_NOT_FOUND = -32601
const ENGINE_ERROR = 4466

/** The native engine gives running work this long after SIGTERM. */
const SHUTDOWN_MS = 4000

/** What a Rust program exits with after a panic; the CLI shows it as a crash of the engine. */
const PANIC_EXIT = 101

/**
 * Serves requests until the input ends or a signal comes; then ends the process.
 *
 * @param {(print: (text: string) => void) => import('./engine.mjs').Engine} createEngine
 */
export function serve(createEngine) {
  const lines = createInterface({ input: process.stdin })
  let prints = 0
  // The CLI confirms each print. It prints in order anyway, so nothing is gained by waiting for that.
  const engine = createEngine((content) => send({ id: prints++, method: 'print', params: { content } }))
  let work = Promise.resolve()
  lines.on('line', (line) => (work = work.then(() => receive(engine, line))))
  const stop = async () => {
    lines.close()
    await work
    await engine.close()
    process.exit(0)
  }
  lines.once('close', stop)
  process.stdout.on('error', () => {}) // The CLI may be gone; the work is still to be finished.
  process.on('SIGINT', () => lines.close())
  process.on('SIGTERM', () => {
    lines.close()
    setTimeout(giveUp, SHUTDOWN_MS)
  })
}

function giveUp() {
  log('ERROR', 'Graceful shutdown timed out')
  process.exit(1)
}

function send(message) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
}

async function receive(engine, line) {
  const message = parse(line)
  if (!message) return send({ id: null, error: { code: PARSE_ERROR, message: 'Parse error' } })
  if (typeof message.method !== 'string') return undefined // The answer to a print.
  const { id, method, params } = message
  try {
    return send({ id, result: await engine.call(method, params) })
  } catch (error) {
    return send({ id, error: toRpcError(error) })
  }
}

function parse(line) {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function toRpcError(error) {
  if (error instanceof UnknownMethod) return { code: METHOD_NOT_FOUND, message: error.message }
  if (error instanceof WebAssembly.RuntimeError) return crash(lastPanic() ?? error.message)
  return { code: ENGINE_ERROR, message: 'An error happened. Check the data field for details.', data: errorData(error) }
}

/** After a panic the engine's memory cannot be trusted: the native engine ends, and so does this one. */
export function crash(message) {
  log('ERROR', message, { is_panic: true })
  process.exit(PANIC_EXIT)
}
