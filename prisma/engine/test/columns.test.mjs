/** Values on their way from the server to the engine. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Adapter } from '../adapter.mjs'
import { connect } from '../connection.mjs'
import { parseDatasource } from '../datasource.mjs'
import { serverUrl } from './harness.mjs'

/** [SQL, column type, value] */
const VALUES = [
  [`'r'::"char"`, 6, 'r'],
  [`'{r,v}'::"char"[]`, 70, ['r', 'v']],
  [`'pg_class'::name`, 7, 'pg_class'],
  [`ARRAY['a b', 'c"d', NULL]::name[]`, 71, ['a b', 'c"d', null]],
  ['4000000000::oid', 1, '4000000000'],
  ['ARRAY[1, 4000000000]::oid[]', 65, ['1', '4000000000']],
  ['(-32768)::int2', 0, -32768],
  ['2147483647', 0, 2147483647],
  ['ARRAY[1, NULL, 3]', 64, [1, null, 3]],
  ['9223372036854775807', 1, '9223372036854775807'],
  ['1.5::float4', 2, 1.5],
  ['0.1::float8', 3, 0.1],
  ['123456789012345678901234567890.12', 4, '123456789012345678901234567890.12'],
  ['true', 5, true],
  ['ARRAY[true, false]', 69, [true, false]],
  [`'x'::varchar`, 7, 'x'],
  [`'x '::char(2)`, 7, 'x '],
  [`DATE '2026-02-28'`, 8, '2026-02-28'],
  [`TIME '01:02:03.5'`, 9, '01:02:03.5'],
  [`TIMESTAMP '2026-02-28 01:02:03.5'`, 10, '2026-02-28T01:02:03.5+00:00'],
  [`TIMESTAMPTZ '2026-02-28 01:02:03+00'`, 10, '2026-02-28T06:32:03+05:30'],
  [`ARRAY[TIMESTAMPTZ '2026-02-28 01:02:03+00']`, 74, ['2026-02-28T06:32:03+05:30']],
  [`'{"a": 1}'::jsonb`, 11, '{"a": 1}'],
  [`'{"a":1}'::json`, 11, '{"a":1}'],
  [`'\\x00ff'::bytea`, 13, [0, 255]],
  [`'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid`, 15, '6ba7b810-9dad-11d1-80b4-00c04fd430c8'],
  ['NULL::int', 0, null],
  ['1::regtype', 7, '1'],
  [`INTERVAL '1 day'`, 7, '1 day'],
]

it('every type that a catalog or a ledger has arrives as the engine reads it', async (t) => {
  const options = encodeURIComponent('-c timezone=Asia/Kolkata')
  const connection = await connect(parseDatasource(serverUrl({ query: `options=${options}` })))
  t.after(() => connection.close())
  const adapter = new Adapter(connection)
  const sql = `SELECT ${VALUES.map(([expression], i) => `${expression} AS c${i}`).join(', ')}`
  for (const args of [[], [1]]) {
    // With a parameter the extended protocol is used, without one the simple protocol.
    const { ok, value, error } = await adapter.queryRaw({ sql: args.length ? `${sql} WHERE $1::int = 1` : sql, args })
    assert.ok(ok, JSON.stringify(error))
    VALUES.forEach(([expression, type, expected], i) => {
      assert.deepEqual([expression, value.columnTypes[i], value.rows[0][i]], [expression, type, expected])
    })
  }
})

it('a server whose dates are not ISO is asked for ISO', async (t) => {
  const options = encodeURIComponent('-c datestyle=German')
  const connection = await connect(parseDatasource(serverUrl({ query: `options=${options}` })))
  t.after(() => connection.close())
  const { value } = await new Adapter(connection).queryRaw({ sql: `SELECT DATE '2026-02-28'`, args: [] })
  assert.deepEqual(value.rows, [['2026-02-28']])
})
