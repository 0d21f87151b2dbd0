// Which way frames go on this machine. Asked once, before anything is installed. Used by daemon.ts.

import type { Logger } from "pino";
import { type Config, SEGMENT_NAMES } from "../config/config.js";
import { isErrorCode, RainfrontError } from "../errors.js";
import type { NativeAddon, PortBackend } from "../native.js";

/**
 * What `backend` of the configuration comes to here. Throws `RF_XDP_*` or `RF_NO_PRIVILEGE` when XDP is asked for and cannot be had;
 * `auto` takes AF_PACKET then, and says why.
 */
export function chooseBackend(config: Config, native: Pick<NativeAddon, "xdp">, log: Logger): PortBackend {
  if (config.backend === "af_packet") return "af_packet";
  const why = whyNoXdp(config, native);
  if (why === undefined) return "xdp";
  if (config.backend === "xdp") throw why;
  log.warn({ why: why.message }, "no XDP here: frames go by packet rings");
  return "af_packet";
}

/** Why XDP cannot be had here; undefined where it can. A program is loaded for that, which this process's first port takes. */
export function whyNoXdp(config: Config, native: Pick<NativeAddon, "xdp">): Error | undefined {
  try {
    requireXdp(config, native);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function requireXdp(config: Config, { xdp }: Pick<NativeAddon, "xdp">): void {
  if (xdp === undefined) {
    throw new RainfrontError("RF_XDP_MISSING", "this addon was built without clang or libbpf, and has no XDP program", {
      fix: "install clang, libbpf-dev, libelf-dev and zlib1g-dev and build again, or set backend: af_packet",
    });
  }
  for (const name of SEGMENT_NAMES) {
    const nic = config.segments[name].interface;
    const attached = withFix("set backend: af_packet", () => xdp.attached(nic));
    if (attached === undefined || attached.isOurs) continue;
    throw new RainfrontError(
      "RF_XDP_TAKEN",
      `segments.${name}.interface: ${nic} runs an XDP program of somebody else, ${attached.name} (id ${attached.id})`,
      { fix: `take it off (ip link set dev ${nic} xdp off), or set backend: af_packet` },
    );
  }
  withFix("run a kernel from 5.18 on, or set backend: af_packet", () => xdp.probe());
}

/** The addon's errors have a code and no fix. */
function withFix<T>(fix: string, ask: () => T): T {
  try {
    return ask();
  } catch (cause) {
    const code = (cause as { code?: unknown }).code;
    if (!(cause instanceof Error) || typeof code !== "string" || !isErrorCode(code)) throw cause;
    throw new RainfrontError(code, cause.message, { fix, cause });
  }
}
