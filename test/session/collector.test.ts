// What V8 makes of what it is told, in a process of its own: flags are the whole process's.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

const COLLECTOR = new URL("../../lib/session/collector.ts", import.meta.url).href;
/** Prints how large the space for young objects of a new thread is, in bytes. */
const program = (settle: string) => `
  import { Worker } from "node:worker_threads";
  import { settleCollector } from ${JSON.stringify(COLLECTOR)};
  ${settle}
  const code = \`import { parentPort } from "node:worker_threads";
    import { getHeapSpaceStatistics } from "node:v8";
    parentPort.postMessage(getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size);\`;
  new Worker(code, { eval: true }).on("message", (bytes) => console.log(bytes));
`;

function youngBytes(settle: string): number {
  const args = ["--import", "tsx", "--input-type=module", "-e", program(settle)];
  return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test("threads that are started afterwards have room for the young objects of seconds", () => {
  const before = youngBytes("");
  for (const settle of ["settleCollector(false);", "settleCollector(true);"]) {
    const bytes = youngBytes(settle);
    assert.ok(bytes >= 4 * 1024 * 1024 && bytes > before, `${bytes} of before ${before}`);
  }
});
