import assert from "node:assert/strict";
import { test } from "node:test";
import { type Caller, callersUpToNpm } from "../../lib/lab/callers.js";

/** Processes 10, 11, 12, …: each the child of the one before. */
function chain(commands: readonly string[]): (pid: number) => Caller | undefined {
  return (pid) => {
    const command = commands[pid - 10];
    return command === undefined ? undefined : { pid, parent: pid - 1, started: "1", command };
  };
}

test("everything between npm and the lab is watched, npm included, its shell not", () => {
  const read = chain(["bash", "npm run lab", "sh -c node scripts/lab.mjs", "node scripts/lab.mjs"]);
  assert.deepEqual(
    callersUpToNpm(read, 13).map((caller) => caller.pid),
    [13, 12, 11],
  );
});

test("started by the script without npm, the script is watched", () => {
  assert.deepEqual(
    callersUpToNpm(chain(["bash", "node scripts/lab.mjs"]), 11).map((caller) => caller.pid),
    [11],
  );
});

test("started directly, nobody is watched", () => {
  assert.deepEqual(callersUpToNpm(chain(["bash", "tmux"]), 11), []);
});
