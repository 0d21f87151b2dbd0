// `npm run vectors`: set-up where needed, then every vector of the packet path in every home, TypeScript read by tsx.

import { join } from "node:path";
import { ROOT, runInForeground } from "./process.mjs";
import { setup } from "./setup.mjs";

await setup({});
const program = join(ROOT, "test", "vectors", "main.ts");
process.exitCode = await runInForeground(process.execPath, ["--import", "tsx", program, ...process.argv.slice(2)], {
  cwd: ROOT,
});
