// The configuration file that the lab writes for a gateway's daemon. Pure.

import { stringify } from "yaml";
import type { Assignment, Stickiness } from "../config/config.js";
import {
  EXTERNAL_SUBNET,
  INTERNAL_SUBNET,
  type LabPlan,
  NICS,
  RING_PORT,
  RING_SEGMENTS,
  SEGMENTS,
  SUBNETS6,
} from "./plan.js";
import type { MajorityQuorum } from "./services.js";
import { portRangesOf } from "./translation.js";

/** Front MACs are made from it. */
export const CLUSTER = "lab";

export interface DaemonSettings {
  readonly nodeId: number;
  readonly keyFile: string;
  readonly stateDir: string;
  readonly failoverTarget_ms: number;
  readonly backend: string;
  readonly quorum?: MajorityQuorum;
  readonly keepConnections?: boolean;
  readonly assignment?: Assignment;
  readonly stickiness?: Stickiness;
}

export function daemonConfig(plan: LabPlan, settings: DaemonSettings): string {
  const { quorum } = settings;
  const subnet6 = (segment: "external" | "internal") =>
    plan.families.includes(6) ? { subnet6: SUBNETS6[segment] } : {};
  return stringify({
    cluster: CLUSTER,
    keyFile: settings.keyFile,
    node: settings.nodeId,
    failoverTarget_ms: settings.failoverTarget_ms,
    backend: settings.backend,
    ...(quorum === undefined ? {} : { quorum: quorum.policy, tieBreaker: quorum.tieBreaker }),
    ...(settings.keepConnections === true ? { keepConnections: true } : {}),
    ...(settings.assignment === undefined ? {} : { assignment: settings.assignment }),
    ...(settings.stickiness === undefined ? {} : { stickiness: settings.stickiness }),
    ...(["receiver", "balanced"].includes(settings.assignment ?? "") ? { portRanges: portRangesOf(plan) } : {}),
    nodes: plan.gateways.map(({ id, name, addresses }) => ({ id, name, addresses })),
    segments: {
      external: { interface: NICS.external, subnet: EXTERNAL_SUBNET, ...subnet6("external") },
      internal: { interface: NICS.internal, subnet: INTERNAL_SUBNET, ...subnet6("internal") },
    },
    vips: SEGMENTS.flatMap((segment) =>
      plan.vips[segment].map((address) => ({ address, segment, ...placeOf(plan.preferredHosts[address]) })),
    ),
    ring: { segments: RING_SEGMENTS, port: RING_PORT },
    stateDir: settings.stateDir,
    logLevel: "info",
  });
}

/** Where a VIP is to be. */
function placeOf(preferredHost: number | undefined): Record<string, number> {
  return preferredHost === undefined ? { persistence: 0 } : { preferredHost, persistence: 3 };
}
