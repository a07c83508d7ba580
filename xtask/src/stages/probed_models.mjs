// A generator for Prisma: keeps what Prisma's own parser says of a schema's models and enums, in the file that its `output` names.
//
// In: Prisma's questions, a line of JSON-RPC each, on stdin. Out: the answers, on stderr, as Prisma expects them.
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  let result = null;
  if (method === "getManifest") result = { manifest: { prettyName: "what the parser says", defaultOutput: "models.json" } };
  if (method === "generate") writeFileSync(params.generator.output.value, JSON.stringify(params.dmmf.datamodel));
  process.stderr.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
}
