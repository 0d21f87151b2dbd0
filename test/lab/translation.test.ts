// What the gateways' firewalls translate: their rules, and what an entry of their tables shows of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "../../lib/lab/conntrack.js";
import { firewallRules } from "../../lib/lab/firewall.js";
import { type GatewayPlan, NODES_MAX, planLab } from "../../lib/lab/plan.js";
import { isTranslated, NATS, type Nat, portRangesOf, snatPorts, translationTable } from "../../lib/lab/translation.js";

const PLAN = planLab({ nodes: 3, servers: 2, families: [4, 6] });
const [FIRST, SECOND] = PLAN.gateways as readonly [GatewayPlan, GatewayPlan];

const rules = (nat: Nat, gatewayId = 1, ftp = false) => firewallRules(PLAN, gatewayId, { nat, ftp });

const plain: Connection = {
  source: "10.77.0.51",
  sourcePort: 1025,
  target: "198.51.100.10",
  targetPort: 80,
  state: "TIME_WAIT",
  reply: { source: "198.51.100.10", sourcePort: 80, target: "10.77.0.51", targetPort: 1025 },
};
const to = (target: string, targetPort: number): Connection => ({
  ...plain,
  reply: { ...plain.reply, target, targetPort },
});

test("no two gateways share a source port of the common address, and each has enough, in the largest lab too", () => {
  for (const nodes of [1, 3, 5, NODES_MAX]) {
    const plan = planLab({ nodes, servers: 1 });
    let next = 1024;
    for (const { id } of plan.gateways) {
      const { first, last } = snatPorts(plan, id);
      assert.ok(first >= next && last - first >= 3000 && last <= 65_535);
      next = last + 1;
    }
  }
});

test("source translation gives every gateway the same VIP and ports of its own", () => {
  assert.match(rules("snat", 1), /snat ip to 192\.0\.2\.101:4096-24575$/m);
  assert.match(rules("snat", 2), /snat ip to 192\.0\.2\.101:24576-45055$/m);
  assert.match(rules("snat", 2), /snat ip6 to \[2001:db8:1::101\]:24576-45055$/m);
});

test("target translation chooses among all servers by the connection alone", () => {
  assert.match(
    rules("dnat"),
    /ip daddr \{ 192\.0\.2\.101, .* \} tcp dport \{ 80, 21 \} dnat ip to jhash ip saddr \. tcp sport mod 2 seed 0x1 map \{ 0 : 10\.77\.0\.51, 1 : 10\.77\.0\.52 \}/,
  );
  assert.equal(rules("dnat", 1), rules("dnat", 3));
});

test("only what translates has chains for it, and each filters as strictly as without", () => {
  assert.doesNotMatch(rules("none"), /type nat/);
  for (const nat of NATS) {
    const tables = `${rules(nat)}${translationTable(PLAN, nat, 1) ?? ""}`;
    assert.equal(tables.match(/type nat/g)?.length ?? 0, nat === "none" ? 0 : 1);
    assert.equal(rules(nat).match(/policy drop/g)?.length, 2);
  }
});

test("FTP opens its control port, and data connections only as what a control connection announced", () => {
  assert.doesNotMatch(rules("none"), /helper|\b21\b/);
  const ftp = rules("none", 1, true);
  assert.match(ftp, /tcp dport 21 ct helper set/);
  assert.match(ftp, /ct state new tcp dport \{ 80, 5201, 8080, 21 \} accept/);
  assert.match(ftp, /ct state established,related accept/);
});

test("an entry without translation is right where none was asked for, and wrong everywhere else", () => {
  assert.deepEqual(
    NATS.filter((nat) => isTranslated(plain, nat, PLAN, FIRST)),
    ["none"],
  );
});

test("a masqueraded connection has its own gateway's address", () => {
  const connection = to("192.0.2.11", 1025);
  assert.ok(isTranslated(connection, "masquerade", PLAN, FIRST));
  assert.ok(!isTranslated(connection, "masquerade", PLAN, SECOND));
  assert.ok(!isTranslated(to("192.0.2.101", 1025), "masquerade", PLAN, FIRST), "not a VIP");
});

test("a source port of another gateway's range is wrong", () => {
  const connection = to("192.0.2.101", 5000);
  assert.ok(isTranslated(connection, "snat", PLAN, FIRST));
  assert.ok(!isTranslated(connection, "snat", PLAN, SECOND));
});

test("a port of another gateway's part of a range is wrong, and so is one of another address", () => {
  const [range] = portRangesOf(PLAN);
  assert.ok(range !== undefined && range.address === "192.0.2.102");
  const own = to(range.address, range.first);
  assert.ok(isTranslated(own, "ports", PLAN, FIRST));
  assert.ok(!isTranslated(own, "ports", PLAN, SECOND));
  assert.ok(!isTranslated(to("192.0.2.101", range.first), "ports", PLAN, FIRST));
});

test("a translated target is one of the servers, and the source is left alone", () => {
  const toVip: Connection = {
    source: "198.51.100.10",
    sourcePort: 1025,
    target: "192.0.2.102",
    targetPort: 80,
    state: "TIME_WAIT",
    reply: { source: "10.77.0.52", sourcePort: 80, target: "198.51.100.10", targetPort: 1025 },
  };
  assert.ok(isTranslated(toVip, "dnat", PLAN, SECOND));
  assert.ok(!isTranslated({ ...toVip, reply: { ...toVip.reply, source: "10.77.0.99" } }, "dnat", PLAN, SECOND));
  assert.ok(!isTranslated({ ...toVip, reply: { ...toVip.reply, targetPort: 1026 } }, "dnat", PLAN, SECOND));
});
