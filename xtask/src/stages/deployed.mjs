// Lets a generated Prisma client read every model, and write a row of each in a transaction that is rolled back.
//
// In: the name of the variable with the URL, and of each client what it is called and a folder with it and with what Prisma's parser says of its
// models, as arguments. Out: a line of JSON for each model, with what failed by Prisma's code. Exit code 1 where it cannot begin.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [variable, ...clients] = process.argv.slice(2);
const url = process.env[variable];
const schema = new URL(url).searchParams.get("schema") ?? "public";

/** From the project, and from the folder of the client in it. */
function load(name, client) {
  for (const from of [join(process.cwd(), "package.json"), join(client, "package.json")]) {
    try {
      return createRequire(from)(name);
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  console.log(`cannot: ${name} is not installed here`);
  process.exit(1);
}

const accessor = (model) => model[0].toLowerCase() + model.slice(1);
/** Of the client that is tried. */
let known;
const named = (list, name) => list.find((one) => one.name === name);
let count = 0;

function value({ kind, type, nativeType }) {
  count += 1;
  if (kind === "enum") return named(known.enums, type).values[0].name;
  const [native, [length] = []] = nativeType ?? [];
  const number = process.pid * 1000 + count;
  switch (type) {
    case "String":
      if (native === "Uuid") return `00000000-0000-4000-8000-${number.toString().padStart(12, "0").slice(-12)}`;
      return `drill${number.toString(36)}`.slice(-Number(length ?? 24));
    case "Int": if (native === "SmallInt") return number % 30_000;
      return 1_000_000 + (count % 30_000) + (process.pid % 1000) * 30_000;
    case "BigInt": return 9_000_000_000_000n + BigInt(count);
    case "Float": return count / 2;
    case "Decimal": return "1";
    case "Boolean": return false;
    case "DateTime": return new Date(Date.UTC(2001, 0, 1, 0, 0, count));
    case "Json": return {};
    case "Bytes": return new Uint8Array([count % 256]);
    default: return undefined;
  }
}

/** A row with all that has to be there, and the rows that it refers to. */
async function make(tx, model, above = []) {
  const data = {};
  const { fields } = named(known.models, model);
  for (const { type, isRequired, relationFromFields: from, relationToFields: to } of fields) {
    if (!from?.length || above.includes(type) || !isRequired && type === model) continue;
    const parent = await make(tx, type, [...above, model]);
    from.forEach((name, at) => { data[name] = parent[to[at]]; });
  }
  for (const field of fields) {
    const { name, kind, isList, isRequired, hasDefaultValue, isUpdatedAt } = field;
    if (name in data || isList || !isRequired || hasDefaultValue || isUpdatedAt || kind === "object") continue;
    const made = value(field);
    if (made !== undefined) data[name] = made;
  }
  return tx[accessor(model)].create({ data });
}

/** What finds a row again: its key, or a column that is unique. */
function found(model, row) {
  const { fields, primaryKey } = named(known.models, model);
  const one = fields.find((field) => field.isId) ?? (primaryKey ? undefined : fields.find((field) => field.isUnique && row[field.name] !== null));
  if (one) return { [one.name]: row[one.name] };
  if (!primaryKey) return undefined;
  const parts = primaryKey.fields.map((name) => [name, row[name]]);
  return { [primaryKey.name ?? primaryKey.fields.join("_")]: Object.fromEntries(parts) };
}

async function write(tx, model) {
  const row = await make(tx, model);
  const where = found(model, row);
  if (!where) return;
  const { fields, primaryKey } = named(known.models, model);
  const isPlain = ({ name, isId, type }) => name in row && !isId && !primaryKey?.fields.includes(name) && row[name] !== null && type !== "Json";
  const data = Object.fromEntries(fields.filter(isPlain).map(({ name }) => [name, row[name]]));
  if (Object.keys(data).length > 0) await tx[accessor(model)].update({ where, data });
  await tx[accessor(model)].delete({ where });
}

const BACK = new Error("back");

/** What is said of rows that are there may hold their values; what names tables and columns alone does not. */
const OF_NAMES = ["P2021", "P2022"];

async function tried(work, made) {
  try {
    await work();
    return null;
  } catch (error) {
    if (error === BACK) return null;
    const code = String(error.code ?? error.name);
    if (!made && !OF_NAMES.includes(code)) return { code, message: "what Prisma says is left out, since it may hold a value" };
    const lines = String(error.message).split("\n").map((line) => line.trim()).filter(Boolean);
    const server = error.meta?.driverAdapterError?.cause?.originalMessage;
    const words = lines.at(-1) ?? "";
    const told = OF_NAMES.includes(code) || words.includes(server) ? [words] : [words, server];
    return { code, message: told.filter(Boolean).join(": ").slice(0, 300) };
  }
}

async function tryModels(name, folder) {
  const client = join(folder, "client");
  const { PrismaPg } = load("@prisma/adapter-pg", client);
  const { Prisma, PrismaClient } = createRequire(join(client, "package.json"))(client);
  known = JSON.parse(readFileSync(join(folder, "models.json"), "utf8"));
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }, { schema }), errorFormat: "minimal" });
  try {
    for (const model of Object.values(Prisma.ModelName)) {
      const read = await tried(() => prisma[accessor(model)].findMany({ take: 20 }), false);
      const wrote = await tried(() => prisma.$transaction(async (tx) => {
        await write(tx, model);
        throw BACK;
      }, { maxWait: 20_000, timeout: 30_000 }), true);
      console.log(JSON.stringify({ client: name, model, read, write: wrote }));
    }
  } finally {
    await prisma.$disconnect();
  }
}

for (let at = 0; at < clients.length; at += 2) await tryModels(clients[at], resolve(clients[at + 1]));
