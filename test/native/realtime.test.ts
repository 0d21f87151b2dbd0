// Which threads of a process run before which, once its ring has real-time priority; and its memory.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { loadNativeIfPresent } from "../../lib/native.js";

interface Thread {
  readonly id: number;
  readonly priority: number;
  readonly cpus: string;
}

/** In a process of its own: priorities do not come back. What it says of its threads afterwards. */
const PROGRAM = `
const { readdirSync, readFileSync } = await import("node:fs");
const { loadNativeIfPresent } = await import(process.argv[1]);
const { Worker } = await import("node:worker_threads");
const entered = process.argv[2] === "true";
const worker = new Worker("require('node:worker_threads').parentPort.on('message', () => {})", { eval: true });
await new Promise((resolve) => worker.once("online", resolve));
const allowed = loadNativeIfPresent().enterRealtime(entered);
const ofThread = (id, file) => {
  try {
    return readFileSync("/proc/self/task/" + id + "/" + file, "utf8");
  } catch (error) {
    // It has ended since it was listed.
    if (error.code === "ENOENT" || error.code === "ESRCH") return undefined;
    throw error;
  }
};
const threads = readdirSync("/proc/self/task").flatMap((id) => {
  const [stat, status] = [ofThread(id, "stat"), ofThread(id, "status")];
  if (stat === undefined || status === undefined) return [];
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return [{ id: Number(id), priority: Number(fields[37]), cpus: /Cpus_allowed_list:\\s+(\\S+)/.exec(status)[1] }];
});
console.log(JSON.stringify({ allowed, pid: process.pid, threads }));
process.exit(0);
`;

function threadsAfter(wholeProcess: boolean) {
  const module = new URL("../../lib/native.ts", import.meta.url).href;
  const argv = ["--import", "tsx", "--input-type=module", "-e", PROGRAM, module, String(wholeProcess)];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as { allowed: boolean; pid: number; threads: Thread[] };
}

const skip = loadNativeIfPresent() === undefined ? "no addon" : process.getuid?.() === 0 ? false : "not root";

test("helpers run before the ring, of a whole process on one CPU, and the main thread last or as before", {
  skip,
}, () => {
  // Called on the main thread, which is then both; the lowest priority is the main thread's.
  const { allowed, pid, threads } = threadsAfter(true);
  assert.ok(allowed);
  const helpers = threads.filter(({ id }) => id !== pid);
  assert.ok(helpers.length > 1);
  assert.deepEqual(new Set(helpers.map(({ priority }) => priority)), new Set([3]));
  assert.equal(new Set(helpers.map(({ cpus }) => cpus)).size, 1);
  assert.match(helpers[0]?.cpus ?? "", /^\d+$/);
  assert.equal(threads.find(({ id }) => id === pid)?.priority, 1);
  const other = threadsAfter(false);
  assert.equal(other.threads.find(({ id }) => id === other.pid)?.priority, 0);
  const placesOf = ({ cpus }: Thread) => cpus;
  assert.deepEqual(new Set(other.threads.map(placesOf)).size, 1, "they may run where they could before");
  if (availableParallelism() > 1) assert.notEqual(other.threads[0]?.cpus, helpers[0]?.cpus);
});

test("the program is locked where the process may, is all there then, and the heap is left alone", {
  skip,
}, () => {
  const module = new URL("../../lib/native.ts", import.meta.url).href;
  const program = `
    const { readFileSync } = await import("node:fs");
    const { loadNativeIfPresent } = await import(process.argv[1]);
    const figures = () => {
      const status = readFileSync("/proc/self/status", "utf8");
      const kB = (name) => Number(new RegExp("^" + name + ":\\\\s+(\\\\d+) kB", "m").exec(status)[1]);
      const areas = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
      const locked = areas.filter((area) => /^VmFlags:.* lo( |$)/m.test(area));
      const sum = (field) => locked.reduce((total, area) => total + Number(new RegExp("^" + field + ":\\\\s+(\\\\d+) kB", "m").exec(area)[1]), 0);
      return { size_kB: sum("Size"), resident_kB: sum("Rss"), locked: locked.map((area) => area.split("\\n")[0]) };
    };
    const before = figures();
    const allowed = loadNativeIfPresent().lockMappedFiles();
    console.log(JSON.stringify({ allowed, before, after: figures() }));`;
  const locking = (...before: readonly string[]) => {
    const argv = [process.execPath, "--import", "tsx", "--input-type=module", "-e", program, module];
    const { stdout, stderr } = spawnSync("env", [...before, ...argv], { encoding: "utf8" });
    assert.notEqual(stdout, "", stderr);
    return JSON.parse(stdout);
  };
  const { allowed, before, after } = locking();
  assert.ok(allowed);
  assert.deepEqual(before.locked, []);
  const text = after.locked.filter(
    (area: string) => area.endsWith(realpathSync(process.execPath)) && / r-xp /.test(area),
  );
  assert.ok(text.length >= 1, after.locked.join("\n"));
  assert.ok(
    after.locked.every((area: string) => / \//.test(area)),
    after.locked.join("\n"),
  );
  assert.ok(after.resident_kB > 0.99 * after.size_kB, `${after.resident_kB} of ${after.size_kB} kB`);
  const withLimit = locking(
    "prlimit",
    "--memlock=1048576",
    "setpriv",
    "--bounding-set=-ipc_lock",
    "--inh-caps=-ipc_lock",
  );
  assert.equal(withLimit.allowed, false, "what does not fit is told");
});
