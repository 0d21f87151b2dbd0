// `npm run bench`: set-up where needed, then the benchmarks with the same arguments.

import { join } from "node:path";
import { ROOT, runInForeground, searchPath } from "./process.mjs";
import { setup } from "./setup.mjs";

const asks = (name) => process.argv.includes(name);
await setup({ lab: true, corosync: asks("raincore"), pipeline: asks("pipeline"), scale: asks("scale") });
const program = join(ROOT, "dist", "bench", "main.js");
const env = { ...process.env, PATH: searchPath() };
process.exitCode = await runInForeground(process.execPath, [program, ...process.argv.slice(2)], { env });
