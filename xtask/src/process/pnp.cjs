// Says where Yarn's Plug'n'Play has Prisma. Arguments: its `.pnp.cjs`, and the file for which Prisma is looked for.
const { createRequire } = require("node:module");
const [hook, asker] = process.argv.slice(1);
const yarn = require(hook);
yarn.setup();
const folder = (name, asker) => {
  try {
    return yarn.resolveToUnqualified(name, asker, { considerBuiltins: false });
  } catch {
    return null;
  }
};
const version = (folder) => folder && createRequire(folder + "/")("./package.json").version;
const cli = folder("prisma", asker);
const engines = cli && folder("@prisma/engines", cli + "/");
const wanted = engines && folder("@prisma/engines-version", engines + "/");
const client = folder("@prisma/client", asker);
console.log(JSON.stringify({ cli, version: version(cli), engines, wanted: version(wanted), client: version(client) }));
