/**
 * How a migration's script is sent: as one request, or statement by statement.
 *
 * From Prisma 7.4 on the native engine takes a script apart with a Rust parser. The drill's binary has the same one, and
 * says in a variable where it is. Without the drill a script goes as one request, as with Prisma up to 7.3.
 */
import { spawnSync } from 'node:child_process'

/** Room for the answer: a history of many scripts, each in full. */
const MAX_BYTES = 1 << 30

/**
 * What takes the scripts of one call apart. They are asked about together, when the first of them is run.
 *
 * @param {object} params of the engine's method: they hold the scripts
 * @param {{shadow: boolean}} options whether they go to a shadow database
 * @returns {(script: string) => string[]} the texts that are sent one after the other; together they are the script
 */
export function splitter(params, { shadow }) {
  const { program, release } = JSON.parse(process.env.STAGING_DRILL_SPLITTER ?? '{}')
  if (!program) return (script) => [script]
  let known = new Map()
  return (script) => {
    if (!known.has(script)) {
      const scripts = [...new Set([script, ...scriptsOf(params)])]
      const statements = ask(program, release, shadow, scripts)
      known = new Map(scripts.map((it, number) => [it, statements[number]]))
    }
    return known.get(script)
  }
}

function scriptsOf({ migrationsList, from, to }) {
  const directories = [migrationsList, from, to].flatMap((list) => list?.migrationDirectories ?? [])
  return directories.map(({ migrationFile }) => migrationFile.content).filter(({ tag }) => tag === 'ok').map(({ value }) => value)
}

function ask(program, release, shadow, scripts) {
  const { status, stdout } = spawnSync(program, shadow ? ['shadow'] : [], {
    env: { STAGING_DRILL_SPLIT: release },
    input: JSON.stringify(scripts),
    encoding: 'utf8',
    maxBuffer: MAX_BYTES,
  })
  if (status !== 0) throw new Error('The drill did not take the migrations apart into statements.')
  return JSON.parse(stdout)
}
