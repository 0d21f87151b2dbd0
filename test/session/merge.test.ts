// Two groups become one while a program is busy: what it asks for then, it asks by what it knows of the group that is no more.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import type { Raincore } from "../../lib/session/raincore.js";
import { Cluster, hasView } from "./cluster.js";
import type { Orders } from "./plugin.js";

const PLUGIN = new URL("./plugin.ts", import.meta.url).href;
const OPTIONS = { timeout: 120_000 };
const PATIENCE_MS = 60_000;

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

/** Stops this thread, and with it every program in it, while the rings go on. */
function waitForMembers(place: Int32Array, wanted: number): void {
  for (let members = Atomics.load(place, 0); members !== wanted; members = Atomics.load(place, 0)) {
    assert.notEqual(Atomics.wait(place, 0, members, PATIENCE_MS), "timed-out", "the groups do not meet");
  }
}

test(
  "a value of another group is not replaced by who has not seen it, though its version is the same",
  OPTIONS,
  async () => {
    const cluster = await Cluster.of(2, { startupWait_ms: 500 });
    try {
      // Nodes with different keys do not hear each other: each is a group of its own, and each group's plan is of version 1.
      const keys = [1, 2].map(() => randomBytes(32));
      const members = new SharedArrayBuffer(4);
      const start = (nodeId: number, change = {}): Promise<Raincore> =>
        cluster.start(nodeId, { clusterKey: Uint8Array.from(keys[nodeId - 1] ?? []), ...change });
      // Of groups of one size, that of the lowest node goes on.
      const stays = await start(1);
      const yields = await start(2, { plugin: { module: PLUGIN, data: { members } satisfies Orders } });
      await Promise.all([hasView(stays, [1]), hasView(yields, [2])]);
      const [plan, others] = [yields.carriage("plan"), stays.carriage("plan")];
      await others.update(() => new TextEncoder().encode("of 1"));
      await plan.update(() => new TextEncoder().encode("of 2"));

      await Promise.all([stays, yields].map((node) => node.setKeys(keys.map((key) => Uint8Array.from(key)))));
      waitForMembers(new Int32Array(members), 2);
      const seen: string[] = [];
      const append = (bytes: Uint8Array | undefined): Uint8Array => {
        seen.push(text(bytes));
        return new TextEncoder().encode(`${text(bytes)}, and more`);
      };
      await assert.rejects(plan.update(append), { code: "RF_NOT_DELIVERED" });

      while (text(plan.state.bytes) !== "of 1") await once(plan, "change");
      await plan.update(append);
      while (text(others.state.bytes) !== "of 1, and more") await once(others, "change");
      assert.deepEqual(seen, ["of 2", "of 1"]);
    } finally {
      await cluster.close();
    }
  },
);

test("a node that comes in may change a value as soon as it hears of it", OPTIONS, async () => {
  const cluster = await Cluster.of(2, { startupWait_ms: 500 });
  try {
    const first = await cluster.start(1);
    await hasView(first, [1]);
    await first.carriage("plan").update(() => new TextEncoder().encode("of 1"));
    const second = await cluster.start(2);
    const plan = second.carriage("plan");
    const changed = await new Promise((resolve, reject) => {
      plan.once("change", () => {
        plan.update((bytes) => new TextEncoder().encode(`${text(bytes)}, and 2`)).then(resolve, reject);
      });
    });
    assert.deepEqual(changed, { version: 2, bytes: new TextEncoder().encode("of 1, and 2") });
  } finally {
    await cluster.close();
  }
});
