// `npm run prebuild [-- --without-xdp]`: makes prebuilds/linux-ARCH/rainfront.node, which `npm pack` puts into the package so that users
// need no compiler.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fail, progress, ROOT, runQuietly } from "./process.mjs";
import { setup } from "./setup.mjs";

await setup();

// Headers of the running Node.js when they lie beside it: then node-gyp downloads none.
const nodeFolder = dirname(dirname(process.execPath));
const nodedir = existsSync(join(nodeFolder, "include", "node", "node.h")) ? { npm_config_nodedir: nodeFolder } : {};
const prebuildify = join(ROOT, "node_modules", "prebuildify", "bin.js");
const args = [prebuildify, "--napi", "--strip", "--name", "rainfront", "-t", process.versions.node];
progress("building the prebuilt addon");
if (!runQuietly(process.execPath, args, { env: { ...process.env, ...nodedir } }))
  fail("prebuildify failed", "read the messages above");

// node-gyp has emptied build/: put back what the lab and the tests use. Nothing is compiled again.
await setup();

const folder = join(ROOT, "prebuilds", `linux-${process.arch}`);
const addon = readdirSync(folder).find((name) => name.endsWith(".node"));
if (createRequire(import.meta.url)(join(folder, addon)).xdp === undefined && !process.argv.includes("--without-xdp")) {
  rmSync(folder, { recursive: true });
  fail(
    "the prebuilt addon has no XDP program",
    "install clang, libbpf-dev (1.0 or newer), libelf-dev and zlib1g-dev, or say --without-xdp",
  );
}
