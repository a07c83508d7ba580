// Reads a Prisma config with Prisma's own loader, and prints what no migration says. Arguments: the CLI's script, the config.
const { realpathSync } = require("node:fs");
const { createRequire } = require("node:module");
const { dirname, resolve } = require("node:path");
const [script, configFile] = process.argv.slice(1);
// From its real place: where pnpm links packages, what they need lies beside that alone.
const { loadConfigFromFile } = createRequire(realpathSync(script))("@prisma/config");
loadConfigFromFile({ configFile }).then(({ config, error }) => {
  if (error) throw error.error ?? new Error(error._tag);
  const said = {
    init_shadow_db: config.migrations?.initShadowDb,
    migrations: config.migrations?.path && resolve(dirname(configFile), config.migrations.path),
    external_tables: config.tables?.external,
    external_enums: config.enums?.external,
  };
  // A config may print, too: the answer is the last line.
  console.log("\n" + JSON.stringify(said));
}).catch(({ message }) => console.log("\n" + JSON.stringify({ error: String(message).split("\n")[0] })));
