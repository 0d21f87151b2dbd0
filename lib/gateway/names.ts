// Names of what the daemon installs: one place, because a later start must find what an earlier one left. Used by lib/gateway.

import type { SegmentName } from "../config/config.js";

/** The veth end that the kernel sees: carries the front MAC and all VIPs of the segment. */
export function innerInterface(segment: SegmentName): string {
  return `rf-${segment}`;
}

/** The veth end that the front port's rings are on. With XDP, where there are none, the end of a pair of its own, which has the IPv6 VIPs. */
export function outerInterface(segment: SegmentName): string {
  return `rfx-${segment}`;
}

/** The other end of that one's pair: nobody listens there. */
export function deafInterface(segment: SegmentName): string {
  return `rfy-${segment}`;
}

/** The XDP program (native/xdp/program.h). */
export const XDP_PROGRAM = "rf_xdp";

/** Alias on every interface of ours, so that a leftover is told from somebody else's interface of the same name. */
export const INTERFACE_ALIAS = "rainfront";
