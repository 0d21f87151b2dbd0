import assert from "node:assert/strict";
import { test } from "node:test";
import { besideEachOther } from "../../lib/lab/comparison.js";
import { keepalivedConfig, masterEntries } from "../../lib/lab/keepalived.js";
import { planLab } from "../../lib/lab/plan.js";

const plan = planLab({ nodes: 3, servers: 1 });
const nics = { external: "ext0", internal: "int0" };
const configOf = (nodeId: number, realtime = false) => keepalivedConfig(plan, { nodeId, realtime, nics });

test("keepalived has every VIP of the layer, at its shortest interval, one gateway for both segments", () => {
  const config = configOf(1);
  for (const vip of [...plan.vips.external, ...plan.vips.internal]) assert.ok(config.includes(`    ${vip}/32\n`), vip);
  assert.equal(config.match(/advert_int 0\.01$/gm)?.length, 2);
  assert.match(config, /vrrp_version 3/);
  assert.match(config, /vrrp_sync_group all \{\n {2}group \{\n {4}external\n {4}internal\n/);
});

test("no two gateways have the same priority, and none takes back what it lost", () => {
  const priorities = plan.gateways.map(({ id }) => /priority (\d+)/.exec(configOf(id))?.[1]);
  assert.equal(new Set(priorities).size, 3);
  assert.equal(configOf(2).match(/nopreempt/g)?.length, 2);
});

test("real-time priority is asked for only when it is wished", () => {
  assert.doesNotMatch(configOf(1), /vrrp_rt_priority/);
  assert.match(configOf(1, true), /vrrp_rt_priority 2$/m);
});

test("a log tells how often it became the owner", () => {
  const log = "(external) Entering BACKUP STATE\n(external) Entering MASTER STATE\n(internal) Entering MASTER STATE\n";
  assert.equal(masterEntries(log), 2);
});

test("figures stand beside each other, and one that only a peer has is a dash for the other", () => {
  assert.deepEqual(
    besideEachOther([
      ["ours", { p50: 12.5 }],
      ["keepalived", { p50: 8, flaps: 3 }],
    ]),
    ["       ours  keepalived", "p50    12.5           8", "flaps     -           3"],
  );
});
