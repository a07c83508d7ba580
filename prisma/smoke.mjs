// Opens the database with the generated client as the app does at run time, and reads every model.
//
// In: DATABASE_URL. Out: one line a model on stdout. Exit code 1 with the model's name when one cannot be read.
import { createRequire } from "node:module";
import { PrismaPg } from "@prisma/adapter-pg";

const { Prisma, PrismaClient } = createRequire(import.meta.url)("./generated/postgres");

const schema = new URL(process.env.DATABASE_URL).searchParams.get("schema") ?? "public";
const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL }, { schema });
const prisma = new PrismaClient({ adapter });
const accessor = (model) => model[0].toLowerCase() + model.slice(1);

try {
  for (const model of Object.values(Prisma.ModelName)) {
    try {
      const rows = await prisma[accessor(model)].count();
      const first = await prisma[accessor(model)].findFirst();
      console.log(`${model}: ${rows} rows, ${first ? `${Object.keys(first).length} fields read` : "none to read"}`);
    } catch (error) {
      console.error(`${model}: ${error.message}`);
      process.exitCode = 1;
    }
  }
} finally {
  await prisma.$disconnect();
}
