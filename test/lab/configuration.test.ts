// The files that the lab writes for daemon, firewall and nginx.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../lib/config/load.js";
import { daemonConfig } from "../../lib/lab/daemonConfig.js";
import { firewallRules, invalidPackets, parseCounters } from "../../lib/lab/firewall.js";
import { vsftpdConfig } from "../../lib/lab/ftp.js";
import { allVips, NODES_MAX, planLab } from "../../lib/lab/plan.js";
import { nginxConfig } from "../../lib/lab/servers.js";

const FAMILIES = [[4], [6], [4, 6]] as const;

test("the daemon accepts the configuration that the lab writes, for the largest lab too", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "rainfront-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const keyFile = join(folder, "cluster.key");
  writeFileSync(keyFile, `${"ab".repeat(32)}\n`, { mode: 0o600 });
  const file = join(folder, "rainfront.yaml");
  const sizes = [1, 3, NODES_MAX].flatMap((nodes) => FAMILIES.map((families) => ({ nodes, families })));
  for (const { nodes, families } of sizes) {
    const plan = planLab({ nodes, servers: 3, families });
    const settings = { nodeId: nodes, keyFile, stateDir: folder, failoverTarget_ms: 300, backend: "af_packet" };
    writeFileSync(file, daemonConfig(plan, settings));
    const config = loadConfig(file);
    assert.equal(config.nodes.length, nodes);
    assert.deepEqual(
      config.vips.map(({ address }) => address),
      allVips(plan),
    );
    assert.equal(config.failoverTarget_ms, 300);
  }
});

test("VIPs in pairs return to the node that they prefer", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "rainfront-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const keyFile = join(folder, "cluster.key");
  writeFileSync(keyFile, `${"ab".repeat(32)}\n`, { mode: 0o600 });
  const file = join(folder, "rainfront.yaml");
  const plan = planLab({ nodes: 2, servers: 2, vipPairs: 2 });
  const settings = { nodeId: 1, keyFile, stateDir: folder, failoverTarget_ms: 300, backend: "af_packet" };
  writeFileSync(file, daemonConfig(plan, settings));
  assert.deepEqual(
    loadConfig(file).vips.map(({ preferredHost, persistence }) => [preferredHost, persistence]),
    [
      [1, 3],
      [2, 3],
      [1, 3],
      [2, 3],
    ],
  );
});

test("a policy is written only where one is asked for: the daemon's own default is the other", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "rainfront-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const keyFile = join(folder, "cluster.key");
  writeFileSync(keyFile, `${"ab".repeat(32)}\n`, { mode: 0o600 });
  const file = join(folder, "rainfront.yaml");
  const plan = planLab({ nodes: 4, servers: 1 });
  const settings = { nodeId: 1, keyFile, stateDir: folder, failoverTarget_ms: 300, backend: "af_packet" };
  assert.doesNotMatch(daemonConfig(plan, settings), /quorum|tieBreaker/);
  writeFileSync(file, daemonConfig(plan, { ...settings, quorum: { policy: "majority", tieBreaker: 1 } }));
  assert.deepEqual(loadConfig(file).quorum, { policy: "majority", tieBreaker: 1 });
});

test("daemons are told to keep a client's flows together where that is asked for", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "rainfront-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const keyFile = join(folder, "cluster.key");
  writeFileSync(keyFile, `${"ab".repeat(32)}\n`, { mode: 0o600 });
  const file = join(folder, "rainfront.yaml");
  const settings = { nodeId: 1, keyFile, stateDir: folder, failoverTarget_ms: 300, backend: "xdp" };
  writeFileSync(
    file,
    daemonConfig(planLab({ nodes: 3, servers: 1 }), { ...settings, assignment: "receiver", stickiness: "client" }),
  );
  const { assignment, stickiness } = loadConfig(file);
  assert.deepEqual([assignment, stickiness], ["receiver", "client"]);
});

test("vsftpd listens once for both families, or for the one that the host has", () => {
  assert.match(vsftpdConfig("/run/rflab/srv1/ftp", [4]), /^listen=YES\nlisten_ipv6=NO$/m);
  assert.match(vsftpdConfig("/run/rflab/srv1/ftp", [4, 6]), /^listen=NO\nlisten_ipv6=YES$/m);
});

test("the firewall drops by default and opens no port but the servers' and the ring's", () => {
  const rules = firewallRules(planLab({ nodes: 2, servers: 1 }), 1);
  assert.equal(rules.match(/policy drop/g)?.length, 2);
  assert.doesNotMatch(rules, /policy accept/);
  assert.deepEqual(rules.match(/\S+ dport .*/g), [
    "tcp dport { 80, 5201, 8080 } accept",
    "udp dport 7 accept",
    "udp dport 7911 accept",
    "tcp dport 7911 accept",
  ]);
  assert.match(rules, /ip saddr \{ 192\.0\.2\.11, 10\.77\.0\.11, 192\.0\.2\.12, 10\.77\.0\.12 \} udp dport 7911/);
  assert.match(rules, /ip saddr \{ 192\.0\.2\.11, 10\.77\.0\.11, 192\.0\.2\.12, 10\.77\.0\.12 \} tcp dport 7911/);
});

test("invalid packets of forwarded and of local traffic are both counted", () => {
  const counter = (name: string, packets: number) => ({ counter: { family: "inet", name, packets, bytes: 0 } });
  const listing = { nftables: [{ metainfo: {} }, counter("forward_invalid", 3), counter("input_invalid", 2)] };
  const counters = parseCounters(JSON.stringify(listing));
  assert.equal(invalidPackets(counters), 5);
  assert.equal(counters.forward_refused, 0);
});

test("nginx stays in its own folder and answers with the server's name", () => {
  const config = nginxConfig("srv2", "/run/rflab/srv2");
  assert.match(config, /return 200 "srv2\\n"/);
  assert.deepEqual(config.match(/\/(etc|var|usr)\//g), null);
});
