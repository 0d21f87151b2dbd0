// The configuration file that the lab writes for a gateway's daemon. Pure.

import { stringify } from "yaml";
import { EXTERNAL_SUBNET, INTERNAL_SUBNET, type LabPlan, RING_PORT, SEGMENTS } from "./plan.js";

export interface DaemonSettings {
  readonly nodeId: number;
  readonly keyFile: string;
  readonly stateDir: string;
  readonly failoverTarget_ms: number;
  readonly backend: string;
}

export function daemonConfig(plan: LabPlan, settings: DaemonSettings): string {
  return stringify({
    cluster: "lab",
    keyFile: settings.keyFile,
    node: settings.nodeId,
    failoverTarget_ms: settings.failoverTarget_ms,
    backend: settings.backend,
    nodes: plan.gateways.map(({ id, name, addresses }) => ({ id, name, addresses })),
    segments: {
      external: { interface: "ext0", subnet: EXTERNAL_SUBNET },
      internal: { interface: "int0", subnet: INTERNAL_SUBNET },
    },
    vips: SEGMENTS.flatMap((segment) => plan.vips[segment].map((address) => ({ address, segment, persistence: 0 }))),
    ring: { segments: ["internal", "external"], port: RING_PORT },
    stateDir: settings.stateDir,
    logLevel: "info",
  });
}
