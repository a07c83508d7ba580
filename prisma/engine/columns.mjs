/**
 * From the server's text to the values that the WebAssembly engine takes.
 *
 * The engine reads catalogs, so it needs types that an application adapter leaves out: "char" (18), name (19), oid
 * (26), and arrays of them. What is not listed goes in as text, as casts in the engine's queries expect.
 */
import pg from 'pg'

/** The engine's column types: the discriminants of ColumnType in prisma-engines, libs/driver-adapters/src/types.rs. */
const INT32 = 0
const INT64 = 1
const FLOAT = 2
const DOUBLE = 3
const NUMERIC = 4
const BOOLEAN = 5
const CHARACTER = 6
const TEXT = 7
const DATE = 8
const TIME = 9
const DATETIME = 10
const JSON_VALUE = 11
const BYTES = 13
const UUID = 15
/** The array types follow from 64 on, in the same order, but for Set, which has none. */
const array = (type) => (type === UUID ? 78 : 64 + type)

/** [element OID, array OID, column type], from pg_type of PostgreSQL 17; these OIDs never change. */
const TYPES = [
  [16, 1000, BOOLEAN],
  [17, 1001, BYTES],
  [18, 1002, CHARACTER],
  [19, 1003, TEXT],
  [20, 1016, INT64],
  [21, 1005, INT32],
  [23, 1007, INT32],
  [25, 1009, TEXT],
  [26, 1028, INT64],
  [114, 199, JSON_VALUE],
  [700, 1021, FLOAT],
  [701, 1022, DOUBLE],
  [1042, 1014, TEXT],
  [1043, 1015, TEXT],
  [1082, 1182, DATE],
  [1083, 1183, TIME],
  [1114, 1115, DATETIME],
  [1184, 1185, DATETIME],
  [1700, 1231, NUMERIC],
  [2950, 2951, UUID],
  [3802, 3807, JSON_VALUE],
]

const COLUMN_TYPES = new Map(TYPES.flatMap(([oid, arrayOid, type]) => [[oid, type], [arrayOid, array(type)]]))
const ELEMENT_OIDS = new Map(TYPES.map(([oid, arrayOid]) => [arrayOid, oid]))

/** Splits an array literal into its elements' texts; OID 1009 is text[]. */
const splitArray = pg.types.getTypeParser(1009)

/**
 * A result in the shape that the engine reads.
 *
 * @param {{fields: {name: string, dataTypeID: number}[], rows: (string | null)[][]}} result of a query, as text
 * @returns {{columnNames: string[], columnTypes: number[], rows: unknown[][]}}
 */
export function toResultSet({ fields, rows }) {
  const readers = fields.map((field) => readerOf(field.dataTypeID))
  return {
    columnNames: fields.map((field) => field.name),
    columnTypes: fields.map((field) => COLUMN_TYPES.get(field.dataTypeID) ?? TEXT),
    rows: rows.map((row) => row.map((text, i) => (text === null ? null : readers[i](text)))),
  }
}

function readerOf(oid) {
  if (!ELEMENT_OIDS.has(oid)) return (text) => readScalar(oid, text)
  const element = ELEMENT_OIDS.get(oid)
  return (text) => splitArray(text).map((item) => (item === null ? null : readScalar(element, item)))
}

function readScalar(oid, text) {
  switch (COLUMN_TYPES.get(oid)) {
    case BOOLEAN:
      return text === 't'
    case INT32:
    case FLOAT:
    case DOUBLE:
      return Number(text)
    case BYTES:
      return [...Buffer.from(text.slice(2), 'hex')]
    case DATETIME:
      return toRfc3339(text)
    default:
      return text
  }
}

/** `2026-11-22 19:00:00.5+05:30`, `…+00` or without an offset (then UTC, as Prisma takes it) to RFC 3339. */
function toRfc3339(text) {
  const [, date, time, hours, minutes] = /^(\S+) ([\d:.]+)(?:([+-]\d\d)(?::?(\d\d))?)?$/.exec(text) ?? []
  return date ? `${date}T${time}${hours ?? '+00'}:${minutes ?? '00'}` : text
}
