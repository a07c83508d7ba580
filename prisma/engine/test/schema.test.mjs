/** Where Prisma 6 says which database is meant: in the schema's datasource, and as text in an argument. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readArguments } from '../arguments.mjs'
import { datasourceOf, providerOf } from '../schema.mjs'

const model = 'model A {\n  id Int @id\n  url String @default("x")\n}\n'
const block = (...lines) => `${model}datasource db {\n  provider = "postgresql"\n  ${lines.join('\n  ')}\n}\n`

test('the direct URL wins, whatever the variables are called', () => {
  const text = block('// url = "postgresql://commented/out"', 'url=env("A")', 'directUrl = env( "B" ) // env("C")')
  assert.deepEqual(datasourceOf([model, text], { A: 'a', B: 'b' }), { url: 'b', shadowDatabaseUrl: undefined })
  assert.equal(providerOf(text), 'postgresql')
})

test('a URL that is written out is read with its escapes, and a brace in it ends no block', () => {
  const text = block('url = "postgresql://u:\\"}@h/d"', 'shadowDatabaseUrl = env("S")')
  assert.deepEqual(datasourceOf([text], { S: 's' }), { url: 'postgresql://u:"}@h/d', shadowDatabaseUrl: 's' })
})

test('a datasource in a comment of either kind is none', () => {
  const elsewhere = 'datasource old {\n  provider = "mysql"\n  url = "postgresql://u@elsewhere/d"\n}\n'
  for (const before of [`/* ${elsewhere} */\n`, elsewhere.replace(/^/gm, '// ')]) {
    const text = before + block('/* url = "postgresql://u@elsewhere/d" */ url = env("A")')
    assert.deepEqual(datasourceOf([text], { A: 'a' }), { url: 'a', shadowDatabaseUrl: undefined })
    assert.equal(providerOf(text), 'postgresql')
  }
})

test('a word is one in any alphabet', () => {
  assert.deepEqual(datasourceOf(['édatasource db {\n  url = "postgresql://u@elsewhere/d"\n}\n'], {}).url, undefined)
})

test('a variable that is not set is an error, but for the shadow database', () => {
  assert.throws(() => datasourceOf([block('url = env("A")')], {}), { message: 'Environment variable not found: A.' })
  assert.equal(datasourceOf([block('url = env("A")', 'shadowDatabaseUrl = env("S")')], { A: 'a' }).shadowDatabaseUrl, undefined)
})

test('a schema of Prisma 7 names no URL', () => {
  assert.deepEqual(datasourceOf([block(), model], {}), { url: undefined, shadowDatabaseUrl: undefined })
  assert.equal(providerOf(model), undefined)
})

test('the argument is text in Prisma 6 and an object in Prisma 7', () => {
  const { datasource, command } = readArguments(['cli', '--datasource', 'postgresql://u@h/d', 'can-connect-to-database'])
  assert.deepEqual([datasource, command], [{ url: 'postgresql://u@h/d' }, 'can-connect-to-database'])
  assert.equal(readArguments(['--datasource', '{"url":"u"}']).datasource.url, 'u')
  assert.throws(() => readArguments(['--datasource', '{broken']), { message: 'The value of `--datasource` is not JSON.' })
})
