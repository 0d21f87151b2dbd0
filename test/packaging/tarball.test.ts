// What `npm run prebuild && npm pack` makes must install and load on machines with and without a compiler. Works in a copy
// of the repository, because making a prebuild empties build/.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadNative } from "../../lib/native.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NOT_COPIED = /^(?:node_modules|build.*|dist|prebuilds|coverage|bench-results|\.git)$/;
const COMPILERS = ["cc", "c++", "gcc", "g++", "clang", "clang++", "cmake", "make", "ninja"];

let scratch = "";
let withPrebuild = "";
let withoutPrebuild = "";

before(() => {
  scratch = mkdtempSync(join(tmpdir(), "rainfront-pack-"));
  const copy = join(scratch, "repository");
  mkdirSync(copy);
  for (const name of readdirSync(ROOT)) {
    if (!NOT_COPIED.test(name)) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  execute("npm", ["run", "-s", "prebuild"], copy);
  withPrebuild = pack(copy, "with");
  rmSync(join(copy, "prebuilds"), { recursive: true });
  withoutPrebuild = pack(copy, "without");
});

after(() => rmSync(scratch, { recursive: true, force: true }));

/** Rejects with what was printed if the program fails. */
function execute(program: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): string {
  try {
    return execFileSync(program, args, {
      cwd,
      env: { ...cleanEnvironment(), ...env },
      encoding: "utf8",
      stdio: "pipe",
    });
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`${program} ${args.join(" ")} failed:\n${stdout ?? ""}\n${stderr ?? ""}`);
  }
}

/** Without what an npm that runs these tests has put there for its own package. */
function cleanEnvironment(): Record<string, string | undefined> {
  const own = /^(?:npm_(?!config_nodedir)|INIT_CWD$|NODE_OPTIONS$|NODE_V8_COVERAGE$|NODE_TEST_CONTEXT$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
}

function pack(copy: string, name: string): string {
  const folder = join(scratch, name);
  mkdirSync(folder);
  execute("npm", ["pack", "--silent", "--pack-destination", folder], copy);
  const file = readdirSync(folder).find((entry) => entry.endsWith(".tgz"));
  assert.ok(file, "npm pack made a file");
  return join(folder, file);
}

/** A folder with node, npm and a shell, and nothing that compiles: the only entry of PATH. */
function pathWithoutCompiler(): string {
  const folder = mkdtempSync(join(scratch, "bin-"));
  for (const program of ["node", "npm", "npx", "sh", "env"]) symlinkSync(whereIs(program), join(folder, program));
  for (const compiler of COMPILERS) assert.ok(!existsSync(join(folder, compiler)));
  return folder;
}

function whereIs(program: string): string {
  const folders = [dirname(process.execPath), ...(process.env.PATH ?? "").split(delimiter)];
  const folder = folders.find((candidate) => existsSync(join(candidate, program)));
  assert.ok(folder, `${program} is on PATH`);
  return join(folder, program);
}

function install(tarball: string, env: Record<string, string>, ...options: string[]): string {
  const folder = mkdtempSync(join(scratch, "install-"));
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  execute("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...options, tarball], folder, env);
  return folder;
}

/** Whether the XDP program is in the addon and the kernel takes it, which needs neither clang nor headers. Also run by itself, as text. */
function wayOfXdp({ xdp }: { readonly xdp?: { probe(): void } }): string {
  if (xdp === undefined) return "none";
  try {
    xdp.probe();
    return "loads";
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}

function assertLoads(folder: string, env: Record<string, string>): void {
  const load = `const { createRequire } = await import("node:module");
    const names = Object.keys(await import("rainfront"));
    const require = createRequire(process.cwd() + "/node_modules/rainfront/package.json");
    const addon = require("node-gyp-build")(process.cwd() + "/node_modules/rainfront");
    const xdp = (${wayOfXdp})(addon);
    console.log(names.length > 0, typeof addon.FrontPort, xdp);`;
  const loaded = execute(process.execPath, ["--input-type=module", "-e", load], folder, env).trim();
  assert.equal(loaded, `true function ${wayOfXdp(loadNative())}`);
  assert.match(execute("npx", ["--no-install", "rainfront", "--version"], folder, env), /^\d+\.\d+\.\d+/);
}

describe("the packed tarball", () => {
  test("contains the addon's prebuild and sources, and neither tests nor the lab", () => {
    const files = execute("tar", ["-tzf", withPrebuild], scratch).trim().split("\n");
    const has = (pattern: RegExp) => files.some((file) => pattern.test(file));
    assert.ok(has(/^package\/prebuilds\/linux-\w+\/rainfront.*\.node$/));
    assert.ok(has(/^package\/native\/steer\//) && has(/^package\/CMakeLists\.txt$/) && has(/^package\/binding\.gyp$/));
    assert.ok(has(/^package\/dist\/lib\/cli\/main\.js$/) && has(/^package\/LICENSE$/) && has(/^package\/README\.md$/));
    const unwanted = files.filter((file) => /\/(?:test|lab|testhost|bench)\/|\.test\.|node_modules/.test(file));
    assert.deepEqual(unwanted, []);
    assert.ok(basename(withoutPrebuild).startsWith("rainfront-"));
  });

  test("installs and loads from its prebuild without a compiler and without install scripts", () => {
    const env = { PATH: pathWithoutCompiler() };
    assertLoads(install(withPrebuild, env, "--ignore-scripts"), env);
  });

  test("installs and loads from its prebuild without a compiler, install scripts allowed", () => {
    const env = { PATH: pathWithoutCompiler() };
    const folder = install(withPrebuild, env);
    assertLoads(folder, env);
    assert.ok(!existsSync(join(folder, "node_modules/rainfront/build")), "nothing was compiled");
  });

  test("compiles itself where there is a compiler and no prebuild", () => {
    const folder = install(withoutPrebuild, {}, "--foreground-scripts");
    assert.ok(existsSync(join(folder, "node_modules/rainfront/build/Release/rainfront.node")));
    assertLoads(folder, {});
  });

  test("says what to do when there is neither compiler nor prebuild", () => {
    const env = { PATH: pathWithoutCompiler() };
    const folder = install(withoutPrebuild, env, "--ignore-scripts");
    const load = `const { loadNative } = await import(process.cwd() + "/node_modules/rainfront/dist/lib/native.js");
      try { loadNative(); } catch (error) { console.log(error.code + " " + error.fix); }`;
    const said = execute(process.execPath, ["--input-type=module", "-e", load], folder, env);
    assert.match(said, /^RF_NATIVE_MISSING .*npm rebuild rainfront/);
  });
});
