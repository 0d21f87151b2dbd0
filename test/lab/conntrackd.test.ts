import assert from "node:assert/strict";
import { test } from "node:test";
import { conntrackdConfig, conntrackdSocket, notifyScript, partnerOf } from "../../lib/lab/conntrackd.js";
import { keepalivedConfig } from "../../lib/lab/keepalived.js";
import { planLab } from "../../lib/lab/plan.js";

const plan = planLab({ nodes: 4, servers: 1 });
const nics = { external: "ext0", internal: "int0" };

test("the first two gateways are a pair, and nobody else has a partner", () => {
  assert.deepEqual(
    plan.gateways.map(({ id }) => partnerOf(plan, id)),
    [2, 1, undefined, undefined],
  );
  assert.equal(partnerOf(planLab({ nodes: 1, servers: 1 }), 1), undefined);
});

test("each of a pair tells the other, reliably, and keeps to its own folder", () => {
  const config = conntrackdConfig(plan, { nodeId: 2, partnerId: 1, nic: "int0", folder: "/run/gw2" });
  assert.match(config, /Mode FTFW/);
  assert.match(config, /IPv4_address 10\.77\.0\.12\n\s+IPv4_Destination_Address 10\.77\.0\.11\n/);
  assert.match(config, /Interface int0/);
  assert.ok(config.includes(`Path ${conntrackdSocket("/run/gw2")}\n`));
  assert.deepEqual(config.match(/\/(etc|var|usr)\//g), null);
});

test("who becomes active puts into its kernel what the other told, before anything else", () => {
  const script = notifyScript("/run/gw1/conntrackd.conf");
  const primary = /primary\)\n(.*?);;/s.exec(script)?.[1]?.match(/-[a-zA-Z]$/gm);
  assert.deepEqual(primary, ["-c", "-f", "-R", "-B"]);
});

test("keepalived calls the script where there is one only", () => {
  const alone = { nodeId: 1, realtime: false, nics };
  assert.doesNotMatch(keepalivedConfig(plan, alone), /notify|script/);
  const paired = keepalivedConfig(plan, { ...alone, notifyScript: "/run/gw1/notify.sh" });
  assert.match(paired, /script_user root/);
  const group = /vrrp_sync_group all \{\n(.*?)\n\}/s.exec(paired)?.[1] ?? "";
  for (const [state, word] of [
    ["master", "primary"],
    ["backup", "backup"],
    ["fault", "fault"],
  ])
    assert.ok(group.includes(`  notify_${state} "/run/gw1/notify.sh ${word}"`), state);
});
