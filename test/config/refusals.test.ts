// Everything in a configuration that is refused: with which code, at which place, and what is said to mend it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig } from "../../lib/config/load.js";
import type { ErrorCode } from "../../lib/errors.js";
import { refusalOf } from "./refusal.js";
import { SAMPLE, withConfig } from "./sample.js";

/** With an IPv6 network on the external segment. */
const SIX = SAMPLE.replace("192.0.2.0/24 }", "192.0.2.0/24, subnet6: '2001:DB8:1::/64' }");
/** Of addresses of full length, in a network of their own. */
const LONG_PREFIX = "2001:db80:1111:1111:1111:2222:3333:";

interface Refusal {
  readonly title: string;
  readonly code: ErrorCode;
  /** Replaced in the sample; a single string is appended. */
  readonly change: readonly [from: string, to: string] | string;
  /** `LINE: path`, or what must stand in the message. */
  readonly says: string;
  readonly fix: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  {
    title: "a mistyped key, with what was meant",
    code: "RF_CONFIG_UNKNOWN_KEY",
    change: ["cluster: front", "clustr: front"],
    says: "gw.yaml:1: clustr: is not a known key",
    fix: /write cluster/,
  },
  {
    title: "an unknown key, with the known ones",
    code: "RF_CONFIG_UNKNOWN_KEY",
    change: ["segment: external,", "segment: external, colour: red,"],
    says: "gw.yaml:11: vips[0].colour: is not a known key",
    fix: /known are address, segment, preferredHost, persistence/,
  },
  {
    title: "a missing key",
    code: "RF_CONFIG_VALUE",
    change: ["cluster: front\n", ""],
    says: "cluster: is missing",
    fix: /1 to 32 characters/,
  },
  {
    title: "a key without a value",
    code: "RF_CONFIG_VALUE",
    change: "ring:\n",
    says: "ring: is empty",
    fix: /segments: \[internal, external\]/,
  },
  {
    title: "a cluster name with other characters",
    code: "RF_CONFIG_VALUE",
    change: ["cluster: front", "cluster: Front Layer"],
    says: 'gw.yaml:1: cluster: is "Front Layer"',
    fix: /a-z, 0-9/,
  },
  {
    title: "an address with a leading zero",
    code: "RF_CONFIG_VALUE",
    change: ["192.0.2.101", "192.0.2.010"],
    says: 'gw.yaml:11: vips[0].address: is "192.0.2.010"',
    fix: /IPv4 address/,
  },
  {
    title: "a link-local VIP",
    code: "RF_CONFIG_VALUE",
    change: ["192.0.2.101", "'fe80::1'"],
    says: 'gw.yaml:11: vips[0].address: is "fe80::1"',
    fix: /link-local; write a global \(2000::\/3\) or unique local/,
  },
  {
    title: "a VIP with a zone",
    code: "RF_CONFIG_VALUE",
    change: ["192.0.2.101", "'fe80::1%ext0'"],
    says: 'gw.yaml:11: vips[0].address: is "fe80::1%ext0"',
    fix: /write an IPv4 address .* or an IPv6 address/,
  },
  {
    title: "a multicast VIP",
    code: "RF_CONFIG_VALUE",
    change: ["192.0.2.101", "'ff02::1'"],
    says: 'gw.yaml:11: vips[0].address: is "ff02::1"',
    fix: /multicast/,
  },
  {
    title: "the loopback address as a VIP",
    code: "RF_CONFIG_VALUE",
    change: ["192.0.2.101", "'::1'"],
    says: 'gw.yaml:11: vips[0].address: is "::1"',
    fix: /loopback/,
  },
  {
    title: "an IPv4 VIP that is written as an IPv6 one",
    code: "RF_CONFIG_VALUE",
    change: ["192.0.2.101", "'::ffff:192.0.2.101'"],
    says: 'gw.yaml:11: vips[0].address: is "::ffff:192.0.2.101"',
    fix: /write 192\.0\.2\.101$/,
  },
  {
    title: "an IPv6 VIP where the segment has no IPv6 network",
    code: "RF_CONFIG_VIP_OUTSIDE_SEGMENT",
    change: ["192.0.2.101", "2001:db8:1::101"],
    says: "gw.yaml:11: vips[0].address: segment external has no IPv6 network for 2001:db8:1::101",
    fix: /segments\.external\.subnet6/,
  },
  {
    title: "an IPv6 network with host bits, with the right one",
    code: "RF_CONFIG_VALUE",
    change: ["subnet: 192.0.2.0/24", "subnet: 192.0.2.0/24, subnet6: '2001:db8:1::1/64'"],
    says: 'gw.yaml:8: segments.external.subnet6: is "2001:db8:1::1/64"',
    fix: /write 2001:db8:1::\/64$/,
  },
  {
    title: "an IPv6 network in which no host but routers can be",
    code: "RF_CONFIG_VALUE",
    change: ["subnet: 192.0.2.0/24", "subnet: 192.0.2.0/24, subnet6: '2001:db8:1::/127'"],
    says: "gw.yaml:8: segments.external.subnet6",
    fix: /\/16 to \/126/,
  },
  {
    title: "a link-local network",
    code: "RF_CONFIG_VALUE",
    change: ["subnet: 192.0.2.0/24", "subnet: 192.0.2.0/24, subnet6: 'fe80::/64'"],
    says: "gw.yaml:8: segments.external.subnet6",
    fix: /link-local/,
  },
  {
    title: "a persistence that does not exist",
    code: "RF_CONFIG_VALUE",
    change: ["persistence: 1", "persistence: 2"],
    says: "gw.yaml:12: vips[1].persistence: is 2",
    fix: /0, 1 or 3/,
  },
  {
    title: "a subnet with host bits, with the right one",
    code: "RF_CONFIG_VALUE",
    change: ["subnet: 192.0.2.0/24", "subnet: 192.0.2.1/24"],
    says: 'gw.yaml:8: segments.external.subnet: is "192.0.2.1/24"',
    fix: /write 192\.0\.2\.0\/24$/,
  },
  {
    title: "an interface name that the kernel refuses",
    code: "RF_CONFIG_VALUE",
    change: ["interface: ext0", "interface: averyveryverylongname"],
    says: "segments.external.interface",
    fix: /15 characters/,
  },
  {
    title: "one of our own interfaces as NIC",
    code: "RF_CONFIG_VALUE",
    change: ["interface: ext0", "interface: rf-external"],
    says: "segments.external.interface",
    fix: /not beginning with rf-/,
  },
  {
    title: "a VIP outside its segment",
    code: "RF_CONFIG_VIP_OUTSIDE_SEGMENT",
    change: ["192.0.2.101", "192.0.3.101"],
    says: "gw.yaml:11: vips[0].address: 192.0.3.101 is no host address of segment external, 192.0.2.0/24",
    fix: /192\.0\.2\.1 to 192\.0\.2\.254/,
  },
  {
    title: "a VIP that is the network's own address",
    code: "RF_CONFIG_VIP_OUTSIDE_SEGMENT",
    change: ["192.0.2.101", "192.0.2.0"],
    says: "vips[0].address",
    fix: /192\.0\.2\.1 to/,
  },
  {
    title: "a VIP that is the broadcast address",
    code: "RF_CONFIG_VIP_OUTSIDE_SEGMENT",
    change: ["192.0.2.101", "192.0.2.255"],
    says: "vips[0].address",
    fix: /to 192\.0\.2\.254/,
  },
  {
    title: "a VIP that is a node's primary address",
    code: "RF_CONFIG_DUPLICATE",
    change: ["192.0.2.101", "192.0.2.12"],
    says: "gw.yaml:11: vips[0].address: address 192.0.2.12 is used twice, first by node gw2 on external",
    fix: /vips\[0\]/,
  },
  {
    title: "a VIP given twice",
    code: "RF_CONFIG_DUPLICATE",
    change: "  - { address: 192.0.2.101, segment: external }\n",
    says: "gw.yaml:13: vips[2].address: address 192.0.2.101 is used twice, first by vips[0]",
    fix: /vips\[2\]/,
  },
  {
    title: "a node id given twice",
    code: "RF_CONFIG_DUPLICATE",
    change: ["id: 2", "id: 1"],
    says: "gw.yaml:6: nodes[1].id: node id 1 is used twice",
    fix: /nodes\[1\]/,
  },
  {
    title: "a node name given twice",
    code: "RF_CONFIG_DUPLICATE",
    change: ["name: gw2", "name: gw1"],
    says: "nodes[1].name: node name gw1 is used twice",
    fix: /nodes\[1\]/,
  },
  {
    title: "a primary address given twice",
    code: "RF_CONFIG_DUPLICATE",
    change: ["10.77.0.12", "10.77.0.11"],
    says: "nodes[1].addresses.internal: address 10.77.0.11 is used twice",
    fix: /gw2 on internal/,
  },
  {
    title: "one NIC for both segments",
    code: "RF_CONFIG_DUPLICATE",
    change: ["interface: int0", "interface: ext0"],
    says: "segments.internal.interface: interface ext0 is used twice",
    fix: /segment internal/,
  },
  {
    title: "a segment named twice for the ring",
    code: "RF_CONFIG_DUPLICATE",
    change: "ring: { segments: [internal, internal] }\n",
    says: "ring.segments[1]: segment internal is used twice",
    fix: /ring\.segments\[1\]/,
  },
  {
    title: "a segment that does not exist for the ring",
    code: "RF_CONFIG_VALUE",
    change: "ring: { segments: [backbone] }\n",
    says: 'ring.segments[0]: is "backbone"',
    fix: /internal and external/,
  },
  {
    title: "a primary address outside its segment",
    code: "RF_CONFIG_ADDRESS_OUTSIDE_SEGMENT",
    change: ["external: 192.0.2.12", "external: 192.0.9.12"],
    says: "gw.yaml:6: nodes[1].addresses.external: 192.0.9.12 is no host address",
    fix: /192\.0\.2\.1 to/,
  },
  {
    title: "segments that overlap",
    code: "RF_CONFIG_SUBNET",
    change: ["subnet: 10.77.0.0/24", "subnet: 192.0.0.0/16"],
    says: "segments.internal.subnet: 192.0.0.0/16 overlaps",
    fix: /do not overlap/,
  },
  {
    title: "a preferred host that does not exist",
    code: "RF_CONFIG_UNKNOWN_NODE",
    change: ["preferredHost: 1", "preferredHost: 7"],
    says: "gw.yaml:11: vips[0].preferredHost: there is no node 7",
    fix: /1, 2/,
  },
  {
    title: "persistence 3 without a preferred host",
    code: "RF_CONFIG_VALUE",
    change: ["persistence: 1", "persistence: 3"],
    says: "vips[1].persistence",
    fix: /preferredHost/,
  },
  {
    title: "a node that is not listed",
    code: "RF_CONFIG_UNKNOWN_NODE",
    change: ["node: 1", "node: 3"],
    says: "gw.yaml:3: node: there is no node 3",
    fix: /--node ID, where ID is one of 1, 2/,
  },
  {
    title: "no word of which node this is",
    code: "RF_CONFIG_UNKNOWN_NODE",
    change: ["node: 1\n", ""],
    says: "node: it is not said which node this is",
    fix: /--node/,
  },
  {
    title: "a fail-over target that no timers can meet",
    code: "RF_CONFIG_FAILOVER_TARGET",
    change: "failoverTarget_ms: 10\n",
    says: "gw.yaml:13: failoverTarget_ms:",
    fix: /failoverTarget_ms/,
  },
  {
    title: "a node without weight",
    code: "RF_CONFIG_VALUE",
    change: ["{ id: 2, ", "{ id: 2, weight: 0, "],
    says: "gw.yaml:6: nodes[1].weight:",
    fix: /1 to 100/,
  },
  {
    title: "flows that stick together where the hash alone decides",
    code: "RF_CONFIG_VALUE",
    change: "stickiness: client\n",
    says: "gw.yaml:13: stickiness:",
    fix: /assignment: receiver/,
  },
  {
    title: "services where the hash alone decides",
    code: "RF_CONFIG_VALUE",
    change: "services: [{ address: 198.51.100.10, assignment: balanced }]\n",
    says: "gw.yaml:13: services: cannot be had with assignment: authority",
    fix: /assignment: receiver/,
  },
  {
    title: "port ranges where the hash alone decides",
    code: "RF_CONFIG_VALUE",
    change: "portRanges: [{ address: 192.0.2.101, first: 10000, last: 20000 }]\n",
    says: "gw.yaml:13: portRanges: cannot be had with assignment: authority",
    fix: /assignment: receiver/,
  },
  {
    title: "a service with a port and no protocol",
    code: "RF_CONFIG_VALUE",
    change: "assignment: receiver\nservices:\n  - { address: 198.51.100.10, port: 80, assignment: balanced }\n",
    says: "gw.yaml:15: services[0].port:",
    fix: /protocol: tcp/,
  },
  {
    title: "a service with a protocol and no port",
    code: "RF_CONFIG_VALUE",
    change: "assignment: receiver\nservices:\n  - { address: 198.51.100.10, protocol: udp, assignment: balanced }\n",
    says: "gw.yaml:15: services[0].protocol:",
    fix: /add port/,
  },
  {
    title: "a service that says nothing",
    code: "RF_CONFIG_VALUE",
    change: "assignment: receiver\nservices:\n  - { address: 198.51.100.10 }\n",
    says: "gw.yaml:15: services[0]: has nothing of its own",
    fix: /add assignment or stickiness/,
  },
  {
    title: "a service that is there twice, in two spellings",
    code: "RF_CONFIG_DUPLICATE",
    change:
      "assignment: receiver\nservices:\n  - { address: '2001:db8::10', stickiness: client }\n  - { address: '2001:DB8:0::10', assignment: balanced }\n",
    says: "gw.yaml:16: services[1]: service 2001:db8::10 is used twice, first by services[0]",
    fix: /services\[1\] a value of its own/,
  },
  {
    title: "a service that goes by the hash, and sticks",
    code: "RF_CONFIG_VALUE",
    change:
      "assignment: receiver\nstickiness: client\nservices:\n  - { address: 198.51.100.10, assignment: authority }\n",
    says: "gw.yaml:16: services[0].assignment: flows that go where their hash names",
    fix: /stickiness: none/,
  },
  {
    title: "a service on a port that connections leave by",
    code: "RF_CONFIG_VALUE",
    change:
      "assignment: receiver\nportRanges: [{ address: 192.0.2.101, first: 8000, last: 9000 }]\nservices:\n  - { address: 192.0.2.101, protocol: tcp, port: 8443, assignment: balanced }\n",
    says: "gw.yaml:16: services[0].port: 8443 is inside portRanges[0]",
    fix: /out of the range/,
  },
  {
    title: "more services than there is room for",
    code: "RF_CONFIG_LIMIT",
    change: `assignment: receiver\nservices:\n${Array.from({ length: 257 }, (_, n) => `  - { address: 198.51.100.10, protocol: tcp, port: ${n + 1}, stickiness: client }\n`).join("")}`,
    says: "services: 257 entries, allowed are 0 to 256",
    fix: /./,
  },
  {
    title: "a port range without a port for every node",
    code: "RF_CONFIG_VALUE",
    change: "assignment: receiver\nportRanges: [{ address: 192.0.2.101, first: 10000, last: 10000 }]\n",
    says: "gw.yaml:14: portRanges[0].last: 1 ports, for 2 nodes",
    fix: /write 10001 or more/,
  },
  {
    title: "a port range that ends before it begins",
    code: "RF_CONFIG_VALUE",
    change: "assignment: receiver\nportRanges: [{ address: 192.0.2.101, first: 20000, last: 10000 }]\n",
    says: "gw.yaml:14: portRanges[0].last: 0 ports, for 2 nodes",
    fix: /write 20001 or more/,
  },
  {
    title: "a port range of ports that are services'",
    code: "RF_CONFIG_VALUE",
    change: "assignment: receiver\nportRanges: [{ address: 192.0.2.101, first: 80, last: 10000 }]\n",
    says: "gw.yaml:14: portRanges[0].first: is 80",
    fix: /1024 to 65535/,
  },
  {
    title: "a port range of an address that nobody answers for",
    code: "RF_CONFIG_VALUE",
    change: "assignment: receiver\nportRanges: [{ address: 192.0.2.99, first: 10000, last: 20000 }]\n",
    says: "gw.yaml:14: portRanges[0].address: 192.0.2.99 is on segment external, and no VIP",
    fix: /add it to vips/,
  },
  {
    title: "two port ranges of one address",
    code: "RF_CONFIG_DUPLICATE",
    change:
      "assignment: receiver\nportRanges:\n  - { address: 203.0.113.1, first: 10000, last: 20000 }\n  - { address: 203.0.113.1, first: 30000, last: 40000 }\n",
    says: "gw.yaml:16: portRanges[1].address: address 203.0.113.1 is used twice",
    fix: /portRanges\[1\]/,
  },
  {
    title: "a tie-breaker where nothing is to be decided",
    code: "RF_CONFIG_VALUE",
    change: "tieBreaker: 1\n",
    says: "gw.yaml:13: tieBreaker:",
    fix: /quorum: majority/,
  },
  {
    title: "a tie-breaker that is not listed",
    code: "RF_CONFIG_UNKNOWN_NODE",
    change: "quorum: majority\ntieBreaker: 9\n",
    says: "gw.yaml:14: tieBreaker: there is no node 9",
    fix: /1, 2/,
  },
  {
    title: "a quorum policy that does not exist",
    code: "RF_CONFIG_VALUE",
    change: "quorum: most\n",
    says: "quorum",
    fix: /available or majority/,
  },
  {
    title: "a state folder too long for a socket's path",
    code: "RF_CONFIG_VALUE",
    change: `stateDir: /run/${"x".repeat(100)}\n`,
    says: "stateDir",
    fix: /shorter/,
  },
  {
    title: "broken YAML",
    code: "RF_CONFIG_SYNTAX",
    change: "ring: { port: \n",
    says: "gw.yaml:",
    fix: /YAML/,
  },
  {
    title: "a key given twice",
    code: "RF_CONFIG_SYNTAX",
    change: "cluster: other\n",
    says: "gw.yaml:13:",
    fix: /YAML/,
  },
  {
    title: "a YAML tag that means nothing here",
    code: "RF_CONFIG_SYNTAX",
    change: ["cluster: front", "cluster: !secret front"],
    says: "gw.yaml:1:",
    fix: /YAML/,
  },
];

describe("a configuration is refused for", () => {
  for (const { title, code, change, says, fix } of REFUSALS) {
    test(title, () => {
      const yaml = typeof change === "string" ? SAMPLE + change : SAMPLE.replace(change[0], change[1]);
      assert.notEqual(yaml, SAMPLE);
      const error = refusalOf(yaml);
      assert.equal(error.code, code, error.message);
      assert.ok(error.message.includes(says), error.message);
      assert.match(error.fix ?? "", fix);
      assert.ok(!error.toLine().includes("\n"), "one line");
    });
  }

  test("an empty file", () => {
    assert.match(refusalOf("").fix ?? "", /cluster, keyFile, nodes, segments and vips/);
  });

  test("more nodes than a group may have", () => {
    const node = (id: number) =>
      `  - { id: ${id}, name: n${id}, addresses: { external: 192.0.${id >> 8}.${id & 255}, internal: 10.77.${id >> 8}.${id & 255} } }\n`;
    const nodes = Array.from({ length: 257 }, (_, index) => node(index + 1)).join("");
    const error = refusalOf(SAMPLE.replace(/nodes:\n(?: {2}- .*\n)+/, `nodes:\n${nodes}`));
    assert.equal(error.code, "RF_CONFIG_LIMIT");
    assert.match(error.message, /nodes: 257 entries/);
  });

  test("more VIPs than the tables hold", () => {
    const vip = (index: number) => `  - { address: 192.0.${index >> 8}.${index & 255}, segment: external }\n`;
    const vips = Array.from({ length: 1025 }, (_, index) => vip(index)).join("");
    const error = refusalOf(SAMPLE.replace(/vips:\n(?: {2}- .*\n)+/, `vips:\n${vips}`));
    assert.equal(error.code, "RF_CONFIG_LIMIT");
  });

  test("more IPv6 VIPs than fit the token, which is told from their number", () => {
    const vip = (index: number) =>
      `  - { address: '${LONG_PREFIX}${(0x1000 + index).toString(16)}', segment: external }\n`;
    const vips = (count: number) => Array.from({ length: count }, (_, index) => vip(index)).join("");
    const withVips = (count: number) =>
      SIX.replace("2001:DB8:1::/64", "2001:db80::/32").replace(/vips:\n(?: {2}- .*\n)+/, `vips:\n${vips(count)}`);
    assert.equal(withConfig(withVips(700), (file) => loadConfig(file)).vips.length, 700);
    const error = refusalOf(withVips(800));
    assert.equal(error.code, "RF_CONFIG_LIMIT");
    assert.match(error.message, /vips: the table of 800 VIPs takes \d+ bytes of the token, allowed are 49152/);
  });

  test("an IPv6 address twice, though in two spellings", () => {
    const vip = (address: string) => `  - { address: '${address}', segment: external }\n`;
    const error = refusalOf(SIX + vip("2001:DB8:1:0::a") + vip("2001:db8:1::000a"));
    assert.equal(error.code, "RF_CONFIG_DUPLICATE");
    assert.match(
      error.message,
      /gw\.yaml:14: vips\[3\]\.address: address 2001:db8:1::a is used twice, first by vips\[2\]/,
    );
  });

  test("an IPv6 VIP that is no host address of the segment's network", () => {
    for (const address of ["2001:db8:2::1", "2001:db8:1::"]) {
      const error = refusalOf(`${SIX}  - { address: '${address}', segment: external }\n`);
      assert.equal(error.code, "RF_CONFIG_VIP_OUTSIDE_SEGMENT");
      assert.match(error.fix ?? "", /from 2001:db8:1::1 to 2001:db8:1:0:ffff:ffff:ffff:ffff, or another segment/);
    }
  });

  test("IPv6 networks of the segments that overlap", () => {
    const error = refusalOf(SIX.replace("10.77.0.0/24", "10.77.0.0/24, subnet6: '2001:db8::/32'"));
    assert.equal(error.code, "RF_CONFIG_SUBNET");
    assert.match(
      error.message,
      /segments\.internal\.subnet6: 2001:db8::\/32 overlaps segment external's 2001:db8:1::\/64/,
    );
  });

  test("YAML aliases that would blow up", () => {
    const levels = Array.from({ length: 8 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(", ")}]`);
    const error = refusalOf(`l0: &l0 [x]\n${levels.join("\n")}\n`);
    assert.equal(error.code, "RF_CONFIG_SYNTAX");
  });

  test("a key named __proto__, as for any other unknown key", () => {
    const error = refusalOf(`${SAMPLE}__proto__: { polluted: true }\n`);
    assert.equal(error.code, "RF_CONFIG_UNKNOWN_KEY");
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
});
