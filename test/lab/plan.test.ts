import assert from "node:assert/strict";
import { test } from "node:test";
import { allVips, NODES_MAX, planLab, SERVERS_MAX } from "../../lib/lab/plan.js";

test("servers use different internal VIPs as their default gateways", () => {
  const { servers } = planLab({ nodes: 3, servers: 3 });
  assert.equal(new Set(servers.map((server) => server.gateway)).size, 3);
});

test("there are at least as many VIPs per segment as gateways", () => {
  for (const nodes of [1, 3, NODES_MAX]) {
    const { vips } = planLab({ nodes, servers: 1 });
    assert.ok(vips.external.length >= nodes && vips.internal.length >= nodes);
  }
});

test("no address is given twice, also in the largest lab", () => {
  const plan = planLab({ nodes: NODES_MAX, servers: SERVERS_MAX });
  const addresses = [
    ...allVips(plan),
    ...plan.gateways.flatMap((gateway) => Object.values(gateway.addresses)),
    ...plan.servers.map((server) => server.address),
    ...[...plan.observers, ...plan.probers].map((tester) => tester.address),
    plan.externalRouter,
  ];
  assert.equal(new Set(addresses).size, addresses.length);
});
