// What is left of a lab whose wrapper was killed. Uses the control experiment (no daemon), which is up within a second.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { boxFlags } from "../../lib/lab/isolation.js";
import { requireTools } from "../../lib/lab/tools.js";
import { waitFor } from "../../lib/lab/waiting.js";

const LAB = join(import.meta.dirname, "../../dist/lib/lab/main.js");

function whyNot(): string | false {
  try {
    requireTools("none");
    boxFlags();
    return existsSync(LAB) ? false : `${LAB} is not built`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** All processes below this one. */
function descendants(pid: number): number[] {
  const parents = new Map(
    readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .map((entry) => [Number(entry), parentOf(entry)] as const),
  );
  const below = (parent: number): number[] =>
    [...parents].filter(([, itsParent]) => itsParent === parent).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]);
  } catch {
    return undefined;
  }
}

for (const [victim, choose] of [
  ["wrapper", (lab: number) => lab],
  ["unshare", (lab: number) => descendants(lab)[0] as number],
] as const) {
  test(`SIGKILL of the lab's ${victim} ends every process of the lab`, { skip: whyNot() }, async (t) => {
    const lab = spawn(process.execPath, [LAB, "--backend", "none", "--nodes", "2"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    t.after(() => lab.kill("SIGKILL"));
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: lab.stdout }).on("line", (line) => line.startsWith("requests ok") && resolve());
      lab.on("exit", (code) => reject(new Error(`the lab ended with status ${code}`)));
    });
    const processes = descendants(lab.pid as number);
    assert.ok(processes.length > 8, `${processes.length} processes`);
    process.kill(choose(lab.pid as number), "SIGKILL");
    await waitFor("all processes are gone", { deadline_ms: 10_000 }, async () => {
      const left = processes.filter((pid) => existsSync(`/proc/${pid}`));
      return left.length === 0 ? { met: true } : { unmet: left.join(" ") };
    });
  });
}
