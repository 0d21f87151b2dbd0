// What makes a group of gateways hold VIPs: the layer's daemon, a peer to compare it with, or nothing. Pure.

import { OPTIONS } from "../config/options.js";
import type { LabSettings } from "./options.js";

/** When a part of a split group may go on. */
export interface MajorityQuorum {
  readonly policy: "majority";
  /** The node whose half goes on when both halves are equal. */
  readonly tieBreaker: number;
}

export type GatewayService =
  | {
      readonly kind: "rainfront";
      readonly backend: string;
      readonly failoverTarget_ms: number;
      /** Left out: the daemon's default, every part goes on. */
      readonly quorum?: MajorityQuorum;
    }
  | {
      readonly kind: "keepalived";
      readonly realtime: boolean;
      /** The first two gateways tell each other about connections. */
      readonly conntrackd?: true;
    }
  /** The gateways simply have their share of the VIPs, as a control experiment. */
  | { readonly kind: "plain" };

export function serviceOf({ backend, failoverTarget_ms }: LabSettings): GatewayService {
  return backend === "none" ? { kind: "plain" } : { kind: "rainfront", backend, failoverTarget_ms };
}

export function describeService(service: GatewayService): string {
  switch (service.kind) {
    case "rainfront":
      return `rainfront at ${service.failoverTarget_ms} ms${service.quorum === undefined ? "" : ", majority"}`;
    case "keepalived":
      return `keepalived${service.conntrackd ? " and conntrackd" : ""}${service.realtime ? " with real-time priority" : ""}`;
    case "plain":
      return "plain addresses";
  }
}

/** Whether the daemon's configuration has this key; it refuses keys that it does not know. */
export function daemonKnows(key: string): boolean {
  return OPTIONS.some((option) => option.key === key);
}
