// What `rainfront status` tells, put together from the parts of the daemon. Called by gatewayPlugin.ts, and by daemon.ts before the ring exists.

import type { GatewayStatus } from "../api/controlProtocol.js";
import type { Config } from "../config/config.js";
import type { RaincoreStatus } from "../raincore/types.js";
import { VERSION } from "../version.js";
import type { Drains } from "../vip/drains.js";
import type { VipModule } from "../vip/vipTable.js";

export interface GatewayParts {
  readonly config: Config;
  readonly now_ms: number;
  readonly startedAt_ms: number;
  readonly leaseUntil_ms: number;
  readonly ring: RaincoreStatus;
  readonly ringCounters: Readonly<Record<string, number>>;
  readonly vips: Pick<VipModule, "table" | "answers">;
  readonly backend: string;
  readonly ports: GatewayStatus["ports"];
  readonly flows?: GatewayStatus["flows"];
  readonly drains?: Drains["all"];
}

/** Before the ring exists. */
export function describeStarting(config: Config, now_ms: number, startedAt_ms: number): GatewayStatus {
  return describeGateway({
    config,
    now_ms,
    startedAt_ms,
    leaseUntil_ms: 0,
    ring: {
      state: "joining",
      epoch: 0,
      origin: 0,
      seq: 0,
      members: [],
      quorate: false,
      holding: false,
      leaseUntil_ms: 0,
      counters: {},
      paths: [],
    },
    ringCounters: {},
    vips: {
      table: () => config.vips.map((vip) => ({ ...vip, currentHost: 0, version: 0, wait_ms: 0 })),
      answers: new Map(),
    },
    backend: config.backend,
    ports: {},
  });
}

export function describeGateway(parts: GatewayParts): GatewayStatus {
  const { config, now_ms } = parts;
  const { state, epoch, seq, members, counters } = parts.ring;
  const remaining_ms = Math.max(0, parts.leaseUntil_ms - now_ms);
  const nameOf = new Map(config.nodes.map(({ id, name }) => [id, name]));
  return {
    version: VERSION,
    pid: process.pid,
    uptime_s: Math.round((now_ms - parts.startedAt_ms) / 1000),
    backend: parts.backend,
    cluster: config.cluster,
    node: { id: config.node.id, name: config.node.name },
    state,
    epoch,
    seq,
    members: members.map(({ nodeId, ready }) => ({ id: nodeId, name: nameOf.get(nodeId) ?? String(nodeId), ready })),
    lease: { valid: remaining_ms > 0, remaining_ms: Math.round(remaining_ms) },
    paths: parts.ring.paths.map(({ nodeId, path, isUp, roundTrip_ms }) => ({
      nodeId,
      path,
      segment: config.ring.segments[path] ?? String(path),
      isUp,
      roundTrip_ms: roundTrip_ms === undefined ? null : Math.round(roundTrip_ms * 1000) / 1000,
    })),
    quorum: { policy: config.quorum.policy, quorate: parts.ring.quorate },
    bound_ms: config.timers.bound_ms,
    vips: parts.vips.table().map((record) => ({
      address: record.address,
      segment: record.segment,
      currentHost: record.currentHost,
      preferredHost: record.preferredHost,
      persistence: record.persistence,
      answering: remaining_ms > 0 && (parts.vips.answers.get(record.address)?.from_ms ?? Infinity) <= now_ms,
    })),
    ports: parts.ports,
    drains: (parts.drains ?? []).map(({ nodeId, isDone }) => ({ node: nodeId, isDone })),
    ...(parts.flows && { flows: parts.flows }),
    ring: sumByName(counters, parts.ringCounters),
  };
}

/** The ring and its network refuse some things under the same name. */
function sumByName(...parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const part of parts) for (const [name, count] of Object.entries(part)) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}
