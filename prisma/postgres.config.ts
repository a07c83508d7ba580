// Postgres, for staging and production: named by drill.toml and by `npm run db:generate:postgres`.
// The drill sets both variables to addresses of its own loopback proxy; `generate` and `validate` need neither.
import { defineConfig } from "prisma/config";

export default defineConfig({
  schema: "schema.postgres.prisma",
  migrations: { path: "postgres/migrations" },
  datasource: {
    url: process.env.DATABASE_URL ?? "",
    shadowDatabaseUrl: process.env.SHADOW_DATABASE_URL,
  },
});
