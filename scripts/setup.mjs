// Everything a fresh machine needs before the lab, the bench or the tests can start: Debian packages, npm packages, the
// native build, TypeScript. Each step first looks whether it is done already, so the second start costs little.
// Called by lab.mjs, bench.mjs, prebuild.mjs and test.mjs; also `node scripts/setup.mjs`.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fail, has, progress, ROOT, runQuietly } from "./process.mjs";

/** By what asks for them: program (or a file, by its absolute path) → Debian package that has it. The lab reads it too. */
const TOOLS = JSON.parse(readFileSync(join(ROOT, "scripts", "debian-packages.json"), "utf8"));

/** Package → service that Debian would start at the next boot. */
const SERVICES = {
  "nginx-light": "nginx",
  keepalived: "keepalived",
  conntrackd: "conntrackd",
  corosync: "corosync",
  vsftpd: "vsftpd",
};

const STAMPS = join(ROOT, "build-cmake", "stamps");

/** Debian packages besides those for building are installed for what asks for them only; without `build`, npm packages alone. */
export async function setup({
  lab = false,
  tests = false,
  corosync = false,
  pipeline = false,
  scale = false,
  build = true,
} = {}) {
  checkPlatform();
  if (!build) return withLock(installNpmPackages);
  const chosen = { tests, lab, corosync, pipeline, scale };
  const needed = ["build", ...Object.keys(chosen).filter((name) => chosen[name])].map((name) => TOOLS[name]);
  installDebianPackages(Object.assign({}, ...needed));
  for (const name of ["build", ...Object.keys(chosen).filter((one) => chosen[one])]) offerDebianPackages(name);
  await withLock(() => {
    installNpmPackages();
    buildNative();
    buildTypeScript();
  });
}

function checkPlatform() {
  if (process.platform !== "linux") fail("Rainfront runs on Linux only", "use a Linux machine or a virtual one");
  if (Number(process.versions.node.split(".")[0]) < 20) {
    fail(`Node.js ${process.versions.node} is too old`, "install Node.js 20 or newer");
  }
}

function missingTools(tools) {
  return Object.entries(tools).filter(([name]) => (name.startsWith("/") ? !existsSync(name) : !has(name)));
}

function installDebianPackages(tools) {
  const missing = missingTools(tools);
  if (process.getuid?.() === 0) removeOwnPolicy();
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  const command = `apt-get install --no-install-recommends ${packages.join(" ")}`;
  if (process.getuid?.() !== 0) fail(`missing: ${missing.map(([name]) => name).join(", ")}`, `run as root: ${command}`);
  if (!has("apt-get"))
    fail(`missing: ${missing.map(([name]) => name).join(", ")}`, `install what Debian has in ${packages.join(", ")}`);
  if (!aptInstall(packages)) fail("apt-get failed", `run: apt-get update && ${command}`);
}

/** What only some scenarios or tests use, who say so when it is not there: tried once, and no reason to fail. */
function offerDebianPackages(forWhat) {
  const packages = missingTools(TOOLS[`${forWhat}Optional`] ?? {}).map(([, name]) => name);
  const stamp = join(STAMPS, `debian-optional-${forWhat}`);
  const list = packages.join(" ");
  const mayInstall = process.getuid?.() === 0 && has("apt-get");
  const tried = `${mayInstall ? "tried" : "said"} ${list}`;
  if (packages.length === 0 || readText(stamp) === tried) return;
  if (mayInstall && aptInstall(packages)) return;
  const without = forWhat === "build" ? "the addon is built without XDP" : "some scenarios or tests will skip a part";
  progress(`not there: ${list}; ${without} (apt-get install --no-install-recommends ${list})`);
  mkdirSync(STAMPS, { recursive: true });
  writeFileSync(stamp, tried);
}

function aptInstall(packages) {
  progress(`installing Debian packages: ${packages.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const start = withoutServices();
  const arguments_ = ["-y", "-q", "install", "--no-install-recommends", ...packages];
  const done = runQuietly("apt-get", ["-q", "update"], { env }) && runQuietly("apt-get", arguments_, { env });
  start(packages);
  return done;
}

const POLICY = "/usr/sbin/policy-rc.d";
const POLICY_CONTENT =
  "#!/bin/sh\n# written by the set-up of rainfront, for as long as it installs packages\nexit 101\n";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** One that an earlier set-up left behind when it was killed. */
function removeOwnPolicy() {
  if (existsSync(POLICY) && readFileSync(POLICY, "utf8") === POLICY_CONTENT) rmSync(POLICY, { force: true });
}

/** Debian starts services when it installs them; the lab wants nginx's program, not a web server on this machine. */
function withoutServices() {
  if (!existsSync(POLICY)) writeFileSync(POLICY, POLICY_CONTENT, { mode: 0o755 });
  // A signal is acted on when apt-get has ended; without a handler this process would end at once and leave the file.
  const stop = () => process.exit(130);
  process.once("exit", removeOwnPolicy);
  for (const signal of SIGNALS) process.once(signal, stop);
  return (packages) => {
    removeOwnPolicy();
    process.removeListener("exit", removeOwnPolicy);
    for (const signal of SIGNALS) process.removeListener(signal, stop);
    // Not at the next boot either.
    const services = packages.flatMap((name) => SERVICES[name] ?? []);
    if (services.length > 0 && has("systemctl")) spawnSync("systemctl", ["disable", ...services], { stdio: "ignore" });
  };
}

/** Complete means: every package of the lock file is there in that version. Optional ones may be for other platforms. */
function installNpmPackages() {
  const wanted = readJson(join(ROOT, "package-lock.json"))?.packages;
  if (wanted === undefined) fail("package-lock.json is missing or broken", "restore it from the repository");
  const present = readJson(join(ROOT, "node_modules", ".package-lock.json"))?.packages ?? {};
  const complete = Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    const found = present[path];
    return found === undefined ? entry.optional === true : found.version === entry.version;
  });
  if (complete) return;
  progress("installing npm packages");
  // No install scripts: the only one that matters is ours, and it is the next step.
  const args = ["ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund"];
  if (!runQuietly("npm", args))
    fail("npm ci failed", "read npm's messages above; it needs a registry or a filled cache");
}

function buildNative() {
  const addon = join(ROOT, "build", "Release", "rainfront.node");
  const script = join(ROOT, "scripts", "native-build.mjs");
  const list = spawnSync(process.execPath, [script, "--list"], { encoding: "utf8" }).stdout.trim().split("\n");
  const tools = join(ROOT, "build", "native");
  const outputs = list.some((file) => file.startsWith("native/testhost/"))
    ? [addon, join(tools, "rainfront-testhost")]
    : [addon];
  // Without them it is built without its XDP program: once they are there, anew.
  const absent = missingTools(TOOLS.buildOptional).map(([name]) => `without ${name}`);
  absent.push(readText("/usr/include/bpf/libbpf_version.h"));
  step("native", "building the native addon", list, outputs, absent, () =>
    runQuietly(process.execPath, [script, join(ROOT, "build", "Release"), "--tools", tools]),
  );
}

function buildTypeScript() {
  const sources = ["lib", "bench", "test", "examples"].flatMap((folder) =>
    filesBelow(folder).filter((file) => file.endsWith(".ts")),
  );
  const outputs = [join(ROOT, "dist", "lib", "cli", "main.js")];
  step("typescript", "compiling TypeScript", ["tsconfig.json", ...sources], outputs, [], () =>
    runQuietly(process.execPath, [join(ROOT, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"]),
  );
}

/** Runs `make` unless the outputs exist and were made from these very inputs, packages and Node.js, under these conditions. */
function step(name, what, inputs, outputs, conditions, make) {
  const stamp = join(STAMPS, name);
  const hash = createHash("sha256").update([process.version, ...conditions].join());
  for (const file of ["package-lock.json", ...inputs].sort()) hash.update(file).update(readFileSync(join(ROOT, file)));
  const digest = hash.digest("hex");
  if (outputs.every((file) => existsSync(file)) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  progress(what);
  rmSync(stamp, { force: true });
  if (!make()) fail(`${what} failed`, "read the messages above");
  mkdirSync(STAMPS, { recursive: true });
  writeFileSync(stamp, digest);
}

function filesBelow(folder) {
  if (!existsSync(join(ROOT, folder))) return [];
  const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(ROOT.length + 1));
}

/** Two terminals may start the lab at the same time; two builds in one folder spoil each other. */
async function withLock(work) {
  const lock = join(ROOT, "build-cmake", "setup.lock");
  mkdirSync(join(ROOT, "build-cmake"), { recursive: true });
  for (let told = false; !tryLock(lock); told = true) {
    if (!told) progress("waiting for another set-up in this folder");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // fail() ends the process from anywhere inside.
  const unlock = () => rmSync(lock, { force: true });
  process.once("exit", unlock);
  work();
  process.removeListener("exit", unlock);
  unlock();
}

function tryLock(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch {
    if (!isScript(readText(lock))) rmSync(lock, { force: true });
    return false;
  }
}

/** Whether a process with this id runs, and is one of these scripts: a lock may outlive its owner, its number be used again. */
function isScript(pid) {
  // Nothing written yet: its owner is between two system calls.
  return pid === "" || /scripts\/\w+\.mjs/.test(readText(`/proc/${pid}/cmdline`));
}

function readText(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setup({ lab: true, tests: true, scale: true });
