// sqlite, for development: what a bare `prisma` command in this folder uses.
import { defineConfig } from "prisma/config";

export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  datasource: { url: process.env.SQLITE_URL ?? "file:./dev.db" },
});
