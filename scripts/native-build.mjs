// Builds native code through cmake-js: `node scripts/native-build.mjs OUTDIR [--tools DIR]` puts the addon into OUTDIR and,
// with --tools, the executables (the lab's test host) into DIR. `--list` prints the files a build depends on.
// Called by binding.gyp (so by prebuildify and by installs from source), by `npm run build:native` and by setup.mjs.
// Alone in its file, without imports of other scripts: it is part of the published package.

import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = realpathSync(join(dirname(fileURLToPath(import.meta.url)), ".."));
// Not below build/: node-gyp empties that before every build.
const WORK = join(ROOT, "build-cmake", "addon");
const ADDON = "rainfront.node";
const TOOLS = ["rainfront-testhost"];

/** Paths of all inputs, relative to the root. */
function inputs() {
  const folder = join(ROOT, "native");
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : [];
  const native = files
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)));
  return ["CMakeLists.txt", "scripts/native-build.mjs", ...native.sort()];
}

function build(outDir, toolsDir) {
  requireTools();
  forgetForeignCache();
  const require = createRequire(import.meta.url);
  const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin", "cmake-js");
  const args = [cmakeJs, "build", "-d", ROOT, "-O", WORK, "-B", "Release", "-p", String(availableParallelism())];
  if (toolsDir === undefined) args.push("-T", "rainfront");
  // What it prints is progress: stdout belongs to the program that asked for the build.
  const result = spawnSync(process.execPath, args, { cwd: ROOT, env: cleanEnvironment(), stdio: ["ignore", 2, 2] });
  if (result.status !== 0) fail("the native build failed", "read the compiler's messages above");
  place(join(WORK, "Release", ADDON), outDir, ADDON);
  for (const tool of toolsDir === undefined ? [] : TOOLS) {
    if (existsSync(join(WORK, tool))) place(join(WORK, tool), toolsDir, tool);
  }
}

/** A make that called us (node-gyp's) would otherwise lend its job server and flags to CMake's. */
function cleanEnvironment() {
  const { MAKEFLAGS: _flags, MFLAGS: _mflags, MAKELEVEL: _level, ...environment } = process.env;
  return environment;
}

function requireTools() {
  const missing = [];
  if (!onPath("cmake")) missing.push("cmake");
  if (process.env.CXX === undefined && !["c++", "g++", "clang++"].some(onPath)) missing.push("g++");
  if (!onPath("make") && !onPath("ninja")) missing.push("make");
  if (missing.length > 0) {
    fail(
      `building the native addon needs ${missing.join(", ")}`,
      `install them, on Debian: apt-get install ${missing.join(" ")}`,
    );
  }
}

function onPath(program) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** CMake refuses a cache that was made for another folder, as after copying the tree. What was found or missed by then is looked for again. */
function forgetForeignCache() {
  const cache = join(WORK, "CMakeCache.txt");
  if (!existsSync(cache)) return;
  const text = readFileSync(cache, "utf8");
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(text)?.[1];
  if (home !== ROOT) rmSync(WORK, { recursive: true, force: true });
  else writeFileSync(cache, text.replace(/^(?:\/\/.*\n)*RF_\w+:(?:FILEPATH|PATH)=.*\n/gm, ""));
}

/** Copies by renaming: a process that has the old file open or mapped keeps it whole. */
function place(from, folder, name) {
  const target = resolve(folder);
  mkdirSync(target, { recursive: true });
  const draft = join(target, `.${name}.${process.pid}`);
  copyFileSync(from, draft);
  renameSync(draft, join(target, name));
}

function fail(message, fix) {
  process.stderr.write(`rainfront: ${message} (fix: ${fix})\n`);
  process.exit(1);
}

const args = process.argv.slice(2);
if (args[0] === "--list") {
  process.stdout.write(`${inputs().join("\n")}\n`);
} else if (args.length === 1 || (args.length === 3 && args[1] === "--tools")) {
  build(args[0], args[2]);
} else {
  fail("wrong usage", "node scripts/native-build.mjs OUTDIR [--tools DIR], or --list");
}
