// The ways that a packet takes through a node whose cluster assigns flows, one XDP port each, and what it costs there.

import { frontMac } from "../../lib/steering/frontMac.js";
import { CLUSTER, type SteeringCounts, type SteeringSettings, startSteeringPort } from "../steering.js";
import type { LiveLoad, LiveMeasurement, Testbed } from "../testbed.js";

/** As a daemon has it (lib/gateway/dataPlane.ts). */
export const ROOM = { established_max: 1_048_576, opening_max: 131_072 };

const XDP = { backend: "xdp", nic: "ext0", outer: "ext0" } as const;
/** The bits of a relay's source MAC, in its first byte (native/steer/mac.h). */
const FINAL = 0x08;

/** Where the frames come from. */
export type Sender = "segment" | "peer asks" | "peer's final";

export interface Path {
  readonly name: string;
  readonly settings: Omit<SteeringSettings, "backend" | "nic" | "outer">;
  readonly sender: Sender;
  /** What the node does with them. */
  readonly fate: "relayed" | "passed";
}

/** Without memory: what the same costs where the hash decides. */
export const HASH_PASS: Path = {
  name: "by the hash, handled here",
  settings: { authority: 1 },
  sender: "segment",
  fate: "passed",
};
export const HASH_RELAY: Path = {
  name: "by the hash, relayed",
  settings: { authority: 2 },
  sender: "segment",
  fate: "relayed",
};
export const AUTHORITY_KEEPS: Path = {
  name: "authority, gives it to itself",
  settings: { authority: 1, room: ROOM },
  sender: "segment",
  fate: "passed",
};
export const AUTHORITY_GIVES: Path = {
  name: "authority, gives it to another",
  settings: { authority: 1, room: ROOM, assignTo: 2 },
  sender: "segment",
  fate: "relayed",
};
export const AUTHORITY_ASKED: Path = {
  name: "authority, asked by a peer, which gets it",
  settings: { authority: 1, room: ROOM },
  sender: "peer asks",
  fate: "relayed",
};
export const RECEIVER_ASKS: Path = {
  name: "receiving node, asks the authority",
  settings: { authority: 2, room: ROOM },
  sender: "segment",
  fate: "relayed",
};
export const HANDLER_TOLD: Path = {
  name: "handling node, told by the authority",
  settings: { authority: 2, room: ROOM },
  sender: "peer's final",
  fate: "passed",
};

export interface PathMeasurement extends LiveMeasurement {
  readonly counts: SteeringCounts;
}

type PathLoad = Omit<LiveLoad, "destinationMac" | "sourceMac" | "countAt">;

/** One port on a path: its memory lasts as long as it does. */
export class PathPort {
  readonly #bed: Testbed;
  readonly #path: Path;
  readonly #port: Awaited<ReturnType<typeof startSteeringPort>>;

  private constructor(bed: Testbed, path: Path, port: Awaited<ReturnType<typeof startSteeringPort>>) {
    this.#bed = bed;
    this.#path = path;
    this.#port = port;
  }

  static async with<T>(bed: Testbed, path: Path, use: (port: PathPort) => Promise<T>): Promise<T> {
    const port = await startSteeringPort(bed.gateway, { ...XDP, ...path.settings });
    try {
      return await use(new PathPort(bed, path, port));
    } finally {
      await port.end();
    }
  }

  /** With what was counted meanwhile. What a node passes ends in its kernel, and has arrived there. */
  async run(load: PathLoad): Promise<PathMeasurement> {
    const before = await this.#port.counts();
    const figures = await this.#bed.live({ ...macsOf(this.#path.sender), countAt: "left", ...load });
    const after = await this.#port.counts();
    const counts = Object.fromEntries(Object.entries(after).map(([name, n]) => [name, n - (before[name] ?? 0)]));
    const received = this.#path.fate === "passed" ? (counts.pass_frames ?? 0) : figures.received;
    return { ...figures, received, counts };
  }
}

export function macsOf(sender: Sender): { destinationMac: string; sourceMac?: string } {
  const destinationMac = frontMac(CLUSTER, "external", 1);
  if (sender === "segment") return { destinationMac };
  const peer = frontMac(CLUSTER, "external", 2);
  return { destinationMac, sourceMac: sender === "peer asks" ? peer : `${relayByte(peer)}${peer.slice(2)}` };
}

function relayByte(mac: string): string {
  return (Number.parseInt(mac.slice(0, 2), 16) | FINAL).toString(16).padStart(2, "0");
}

export function loop_ns({ busy_ns, sent }: LiveMeasurement): number {
  return busy_ns / sent;
}
