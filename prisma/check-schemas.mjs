// Keeps the promise that the two schemas are one: sqlite for development, Postgres for staging and production.
//
// Their SQL cannot be shared (AUTOINCREMENT, DATETIME, and Prisma's P3019), so what is compared is what the app sees: the models, as
// Prisma's own parser reads them. Also: a history's lock names the provider of its schema. Exit code 1 and one line a difference.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { get_dmmf, get_config } = createRequire(import.meta.url)("@prisma/prisma-schema-wasm");

const SQLITE = { schema: "schema.prisma", lock: "migrations/migration_lock.toml" };
const POSTGRES = { schema: "schema.postgres.prisma", lock: "postgres/migrations/migration_lock.toml" };

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

function models(schema) {
  const { datamodel } = JSON.parse(get_dmmf(JSON.stringify({ prismaSchema: [[schema, read(schema)]] })));
  // A native type (`@db.VarChar`) is the database's own affair; everything else the app can tell.
  const field = ({ nativeType, ...rest }) => [rest.name, JSON.stringify(rest)];
  const model = ({ fields, ...rest }) => [rest.name, { rest: JSON.stringify(rest), fields: new Map(fields.map(field)) }];
  const indexes = datamodel.indexes.map(({ type, model, fields }) => JSON.stringify({ type, model, fields })).sort();
  return { models: new Map(datamodel.models.map(model)), enums: JSON.stringify(datamodel.enums), indexes: indexes.join("\n") };
}

function* differences(left, right) {
  for (const name of new Set([...left.models.keys(), ...right.models.keys()])) {
    const [a, b] = [left.models.get(name), right.models.get(name)];
    if (!a || !b) {
      yield `model ${name} is only in ${a ? SQLITE.schema : POSTGRES.schema}`;
      continue;
    }
    if (a.rest !== b.rest) yield `model ${name} is declared differently`;
    for (const field of new Set([...a.fields.keys(), ...b.fields.keys()])) {
      if (a.fields.get(field) !== b.fields.get(field)) yield `field ${name}.${field} differs`;
    }
  }
  if (left.enums !== right.enums) yield "the enums differ";
  if (left.indexes !== right.indexes) yield "the indexes differ";
}

function* wrongLocks() {
  for (const { schema, lock } of [SQLITE, POSTGRES]) {
    const config = JSON.parse(get_config(JSON.stringify({ prismaSchema: [[schema, read(schema)]], datasourceOverrides: {}, env: {} })));
    const provider = config.config.datasources[0].activeProvider;
    const locked = /^provider = "(.*)"$/m.exec(read(lock))?.[1];
    if (locked !== provider) yield `${lock} says ${locked}, ${schema} says ${provider}`;
  }
}

const found = [...differences(models(SQLITE.schema), models(POSTGRES.schema)), ...wrongLocks()];
for (const line of found) console.error(line);
if (found.length === 0) console.log("both schemas hold the same models, and each lock names its schema's provider");
process.exitCode = found.length === 0 ? 0 : 1;
