import assert from "node:assert/strict";
import { test } from "node:test";
import { familyOf } from "../../lib/config/address.js";
import { allVips, NODES_MAX, planLab, SERVERS_MAX } from "../../lib/lab/plan.js";

test("servers use different internal VIPs as their default gateways", () => {
  const { servers } = planLab({ nodes: 3, servers: 3 });
  assert.equal(new Set(servers.flatMap((server) => server.gateways)).size, 3);
});

test("there are at least as many VIPs per segment as gateways", () => {
  for (const nodes of [1, 3, NODES_MAX]) {
    const { vips } = planLab({ nodes, servers: 1 });
    assert.ok(vips.external.length >= nodes && vips.internal.length >= nodes);
  }
});

test("no address is given twice, also in the largest lab", () => {
  const plan = planLab({ nodes: NODES_MAX, servers: SERVERS_MAX, families: [4, 6] });
  const addresses = [
    ...allVips(plan),
    ...plan.gateways.flatMap((gateway) => [
      ...Object.values(gateway.addresses),
      ...Object.values(gateway.addresses6).flat(),
    ]),
    ...plan.servers.flatMap((server) => server.addresses),
    ...[...plan.observers, ...plan.farObservers, ...plan.probers].map((tester) => tester.address),
    ...plan.clientAddresses,
    ...plan.clientRouters,
    ...plan.externalRouters,
  ];
  assert.equal(new Set(addresses).size, addresses.length);
});

test("a lab of one family has VIPs, clients, servers and testers of that family only, and the ring is IPv4 all the same", () => {
  for (const family of [4, 6] as const) {
    const plan = planLab({ nodes: 3, servers: 3, families: [family] });
    const carried = [
      ...allVips(plan),
      ...plan.clientAddresses,
      ...plan.servers.flatMap((server) => [...server.addresses, ...server.gateways]),
      ...[...plan.observers, ...plan.probers].map((tester) => tester.address),
    ];
    assert.deepEqual(new Set(carried.map(familyOf)), new Set([family]));
    assert.ok(plan.gateways.every(({ addresses }) => Object.values(addresses).every((own) => familyOf(own) === 4)));
  }
});

test("with both families every segment is watched and probed in each, by hosts of their own", () => {
  const { observers, probers, vips } = planLab({ nodes: 3, servers: 1, families: [4, 6] });
  for (const testers of [observers, probers]) {
    const seen = testers.map(({ segment, address }) => `${segment} ${familyOf(address)}`);
    assert.deepEqual(seen.sort(), ["external 4", "external 6", "internal 4", "internal 6"]);
  }
  assert.equal(new Set([...observers, ...probers].map(({ name }) => name)).size, 8);
  assert.deepEqual(vips.internal.map(familyOf), [4, 4, 4, 4, 6, 6, 6, 6]);
});

test("VIPs in pairs prefer the same node, and so does a server's default gateway", () => {
  const plan = planLab({ nodes: 2, servers: 4, vipPairs: 4 });
  const hosts = (vips: readonly string[]) => vips.map((vip) => plan.preferredHosts[vip]);
  assert.deepEqual(hosts(plan.vips.external), [1, 2, 1, 2]);
  assert.deepEqual(hosts(plan.vips.internal), [1, 2, 1, 2]);
  assert.deepEqual(
    plan.servers.flatMap(({ gateways }) => gateways),
    plan.vips.internal,
  );
  assert.deepEqual(planLab({ nodes: 2, servers: 4 }).preferredHosts, {});
});
