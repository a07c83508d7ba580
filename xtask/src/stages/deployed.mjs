// Lets a generated Prisma client read every model, and write a row of each in a transaction that is rolled back.
//
// In: the client's folder and the name of the variable with the URL, as arguments. Out: a line of JSON for each model, with what
// failed by Prisma's code. Rows are made up by the schema that lies in the client's folder. Exit code 1 where it cannot begin.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [client, variable] = process.argv.slice(2);
const folder = resolve(client);
const url = process.env[variable];

/** From the project, and from the folder of the client in it. */
function load(name) {
  for (const from of [join(process.cwd(), "package.json"), join(folder, "package.json")]) {
    try {
      return createRequire(from)(name);
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  console.log(`cannot: ${name} is not installed here`);
  process.exit(1);
}

const { PrismaPg } = load("@prisma/adapter-pg");
const { Prisma, PrismaClient } = createRequire(join(folder, "package.json"))(folder);
const schema = new URL(url).searchParams.get("schema") ?? "public";
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }, { schema }), errorFormat: "minimal" });
const accessor = (model) => model[0].toLowerCase() + model.slice(1);

/** Models and enums, a field a line, as Prisma's formatter writes them. What is read wrongly cannot be written before the migrations either. */
function blocks(text) {
  const found = { model: {}, enum: {} };
  for (const [, kind, name, body] of text.matchAll(/^(model|enum)\s+(\w+)\s*\{\n([\s\S]*?)^\}/gm)) {
    const lines = body.split("\n").map((line) => line.trim()).filter((line) => /^[A-Za-z]/.test(line));
    found[kind][name] = lines;
  }
  return found;
}

const known = blocks(readFileSync(join(folder, "schema.prisma"), "utf8"));

function fields(model) {
  return (known.model[model] ?? []).map((line) => {
    const [, name, type, many, rest] = line.match(/^(\w+)\s+(\w+(?:\([^)]*\))?)(\[\]|\?)?(.*)$/) ?? [];
    return { name, type, many, rest: rest ?? "", given: /@default|@updatedAt/.test(rest ?? "") };
  });
}

const names = (list) => list.split(",").map((name) => name.trim());
let count = 0;

function value(type, rest) {
  count += 1;
  if (known.enum[type]) return known.enum[type][0].split(/\s/)[0];
  const length = Number(rest.match(/@db\.(?:VarChar|Char)\((\d+)\)/)?.[1] ?? 24);
  const tail = (process.pid * 1000 + count).toString(36);
  switch (type) {
    case "String":
      if (/@db\.Uuid/.test(rest)) return `00000000-0000-4000-8000-${(process.pid * 1000 + count).toString().padStart(12, "0").slice(-12)}`;
      return `drill${tail}`.slice(-length);
    case "Int": return 1_000_000 + (count % 30_000) + (process.pid % 1000) * 30_000;
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
  const all = fields(model);
  for (const field of all) {
    const relation = field.rest.match(/@relation\(.*fields:\s*\[([^\]]*)\].*references:\s*\[([^\]]*)\]/);
    if (!relation || field.many || above.includes(field.type)) continue;
    const parent = await make(tx, field.type, [...above, model]);
    const from = names(relation[2]);
    names(relation[1]).forEach((name, at) => { data[name] = parent[from[at]]; });
  }
  for (const { name, type, many, rest, given } of all) {
    if (name in data || many || given || known.model[type]) continue;
    const made = value(type, rest);
    if (made !== undefined) data[name] = made;
  }
  return tx[accessor(model)].create({ data });
}

async function write(tx, model) {
  const row = await make(tx, model);
  const of = (name) => ({ [name]: row[name] });
  const key = (known.model[model] ?? []).map((line) => line.match(/^(\w+)\s.*@id\b/)?.[1]).find(Boolean);
  if (!key) return;
  const plain = fields(model).filter((field) => field.name in row && !/@id\b/.test(field.rest) && row[field.name] !== null && field.type !== "Json");
  const data = Object.fromEntries(plain.map(({ name }) => [name, row[name]]));
  if (Object.keys(data).length > 0) await tx[accessor(model)].update({ where: of(key), data });
  await tx[accessor(model)].delete({ where: of(key) });
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

try {
  for (const model of Object.values(Prisma.ModelName)) {
    const read = await tried(() => prisma[accessor(model)].findMany({ take: 20 }), false);
    const wrote = await tried(() => prisma.$transaction(async (tx) => {
      await write(tx, model);
      throw BACK;
    }, { maxWait: 20_000, timeout: 30_000 }), true);
    console.log(JSON.stringify({ model, read, write: wrote }));
  }
} finally {
  await prisma.$disconnect();
}
