// Which way frames go on this machine. Asked once, before anything is installed. Used by daemon.ts.

import type { Logger } from "pino";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { isErrorCode, RainfrontError } from "../errors.js";
import type { NativeAddon, PortBackend } from "../native.js";
import { findLink, type Link, xdpOff } from "./nic.js";

/** Of a bond in which every NIC is in use. In others, what is flooded comes in by several of them, and the program on each would deal with it. */
const BOND_MODES: ReadonlySet<string> = new Set(["balance-rr", "balance-xor", "802.3ad"]);

/**
 * What `backend` of the configuration comes to here. Throws `RF_XDP_*` or `RF_NO_PRIVILEGE` when XDP is asked for and cannot be had;
 * `auto` takes AF_PACKET then, and says why.
 */
export async function chooseBackend(
  config: Config,
  native: Pick<NativeAddon, "xdp">,
  log: Logger,
): Promise<PortBackend> {
  if (config.backend === "af_packet") return "af_packet";
  const why = await whyNoXdp(config, native);
  if (why === undefined) return "xdp";
  if (config.backend === "xdp") throw why;
  log.warn({ why: why.message }, "no XDP here: frames go by packet rings");
  return "af_packet";
}

/** Why XDP cannot be had here; undefined where it can. A program is loaded for that, which this process's first port takes. */
export async function whyNoXdp(config: Config, native: Pick<NativeAddon, "xdp">): Promise<Error | undefined> {
  try {
    await requireXdp(config, native);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

async function requireXdp(config: Config, { xdp }: Pick<NativeAddon, "xdp">): Promise<void> {
  if (xdp === undefined) {
    throw new RainfrontError("RF_XDP_MISSING", "this addon was built without clang or libbpf, and has no XDP program", {
      fix: "install clang, libbpf-dev (1.0 or newer), libelf-dev and zlib1g-dev and build again, or set backend: af_packet",
    });
  }
  for (const name of SEGMENT_NAMES) {
    const nic = config.segments[name].interface;
    const problem = bondProblem(name, await findLink(nic));
    if (problem !== undefined) throw problem;
    const attached = withFix("set backend: af_packet", () => xdp.attached(nic));
    if (attached === undefined || attached.isOurs) continue;
    throw new RainfrontError(
      "RF_XDP_TAKEN",
      `segments.${name}.interface: ${nic} runs an XDP program of somebody else, ${attached.name} (id ${attached.id})`,
      { fix: `take it off (${xdpOff(nic, attached.isGeneric)}), or set backend: af_packet` },
    );
  }
  withFix("run a kernel from 5.18 on, or set backend: af_packet", () => xdp.probe());
}

/** `RF_XDP_NIC` where the segment's interface is a bond that XDP cannot be used on. */
export function bondProblem(
  name: SegmentName,
  link: Pick<Link, "ifname" | "linkinfo"> | undefined,
): RainfrontError | undefined {
  const { info_kind, info_data } = link?.linkinfo ?? {};
  if (info_kind !== "bond" || BOND_MODES.has(info_data?.mode ?? "")) return undefined;
  return new RainfrontError(
    "RF_XDP_NIC",
    `segments.${name}.interface: ${link?.ifname} is a bond in mode ${info_data?.mode ?? "unknown"}, whose idle NICs would answer as well`,
    { fix: "set backend: af_packet, or the bond's mode to 802.3ad, balance-xor or balance-rr" },
  );
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
