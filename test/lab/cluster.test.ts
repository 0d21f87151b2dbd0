import assert from "node:assert/strict";
import { test } from "node:test";
import type { GatewayStatus } from "../../lib/api/controlProtocol.js";
import { clusterProblem } from "../../lib/lab/cluster.js";

/** A settled cluster in which `owners[i]` owns the i-th external VIP. */
function cluster(ids: readonly number[], owners: readonly number[]): GatewayStatus[] {
  return ids.map((id) => ({
    version: "0.1.0",
    pid: 1,
    uptime_s: 1,
    backend: "af_packet",
    cluster: "lab",
    node: { id, name: `gw${id}` },
    state: "member",
    epoch: 4,
    seq: 9,
    members: ids.map((member) => ({ id: member, name: `gw${member}`, ready: true })),
    lease: { valid: true, remaining_ms: 100 },
    bound_ms: 250,
    paths: [],
    quorum: { policy: "available", quorate: true },
    vips: owners.map((currentHost, index) => ({
      address: `192.0.2.${101 + index}`,
      segment: "external",
      currentHost,
      preferredHost: 0,
      persistence: 0,
      answering: currentHost === id,
    })),
    ports: {},
    drains: [],
    ring: {},
  }));
}

function changed(statuses: GatewayStatus[], index: number, change: Partial<GatewayStatus>): GatewayStatus[] {
  return statuses.map((status, i) => (i === index ? { ...status, ...change } : status));
}

test("a cluster whose members agree and whose VIPs are each answered for by one is settled", () => {
  assert.equal(clusterProblem(cluster([1, 2, 3], [1, 2, 3, 1]), { spread: true }), undefined);
});

test("a cluster is not settled while anything is in doubt", () => {
  const good = cluster([1, 2], [1, 2]);
  const vips = (good[1] as GatewayStatus).vips;
  const cases: readonly (readonly [RegExp, readonly GatewayStatus[]])[] = [
    [/no gateway/, []],
    [/gw2 is joining/, changed(good, 1, { state: "joining" })],
    [/no valid lease/, changed(good, 1, { lease: { valid: false, remaining_ms: 0 } })],
    [/sees the members/, changed(good, 1, { members: [{ id: 2, name: "gw2", ready: true }] })],
    [/not ready/, changed(good, 0, { members: good[0]?.members.map((m) => ({ ...m, ready: m.id === 1 })) ?? [] })],
    [/epoch/, changed(good, 1, { epoch: 5 })],
    [/0 nodes answer/, changed(good, 1, { vips: vips.map((vip) => ({ ...vip, answering: false })) })],
    [/2 nodes answer/, changed(good, 1, { vips: vips.map((vip) => ({ ...vip, answering: true })) })],
    [
      /does not see/,
      changed(good, 0, { vips: vips.map((vip) => ({ ...vip, currentHost: 1, answering: vip.currentHost === 1 })) }),
    ],
  ];
  for (const [problem, statuses] of cases) assert.match(clusterProblem(statuses) ?? "settled", problem);
});

test("VIPs on one node only are settled, but not spread", () => {
  const lopsided = cluster([1, 2], [1, 1, 1]);
  assert.equal(clusterProblem(lopsided), undefined);
  assert.match(clusterProblem(lopsided, { spread: true }) ?? "", /not spread: 3, 0/);
});

test("a VIP that is not where it prefers to be is told where that was wished", () => {
  const away = cluster([1, 2], [1, 1]).map((status) => ({
    ...status,
    vips: status.vips.map((vip, index) => ({ ...vip, preferredHost: index + 1, persistence: 3 })),
  }));
  assert.equal(clusterProblem(away), undefined);
  assert.match(clusterProblem(away, { preferred: true }) ?? "", /192\.0\.2\.102 is on node 1, not on 2/);
});
