// Is the daemon of this machine away by agreement? Its XDP programs say so: they serve for longer than any lease of a ring. Used by leftovers.ts, installer.ts and daemon.ts.

import { type Config, SEGMENT_NAMES } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import type { NativeAddon } from "../native.js";

/** Of a killed daemon no more is left of it than a lease lasts; of one that is away, as much as it asked for. */
const SERVES_ON_MS = 1000;

/** For how long more (ms) a program here serves for a daemon that is away; 0: none is. */
export function awayFor_ms(
  config: Config,
  { xdp, monotonicNow_ns }: Pick<NativeAddon, "xdp" | "monotonicNow_ns">,
): number {
  let until_ns = 0n;
  for (const name of SEGMENT_NAMES) {
    try {
      const attached = xdp?.attached(config.segments[name].interface);
      if (attached !== undefined && attached.leaseUntil_ns > until_ns) until_ns = attached.leaseUntil_ns;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "RF_NIC_MISSING") throw error;
    }
  }
  const left_ms = Number(until_ns - monotonicNow_ns()) / 1e6;
  return left_ms > SERVES_ON_MS ? left_ms : 0;
}

/** For who wants it gone. */
export function awayError(left_ms: number): RainfrontError {
  return new RainfrontError(
    "RF_AWAY",
    `the daemon is away, and its program serves for ${Math.ceil(left_ms / 1000)} s more`,
    {
      fix: "start the daemon again (rainfront up), or use rainfront down --config FILE --force: its VIPs are silent until then",
    },
  );
}
