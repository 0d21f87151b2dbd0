// `npm run sim`: npm packages where needed, then the simulator with the same arguments, TypeScript read by tsx.

import { join } from "node:path";
import { ROOT, runInForeground } from "./process.mjs";
import { setup } from "./setup.mjs";

await setup({ build: false });
const program = join(ROOT, "test", "simulator", "main.ts");
process.exitCode = await runInForeground(process.execPath, ["--import", "tsx", program, ...process.argv.slice(2)], {
  cwd: ROOT,
});
