// Connections that outlive their gateway: how fast a node tells what its firewall learns, and all that it knows; how fast another keeps that, and gives it to its own firewall; and how many bytes a
// connection is on the ring's network. Two shares in two network namespaces; the records are carried between them with no clock running.

import { join } from "node:path";
import { Host } from "../../lib/lab/host.js";
import { ROOT } from "../../lib/lab/paths.js";
import { Helper } from "../helper.js";
import type { Figure } from "../result.js";
import { EXT_MAC, type Testbed } from "../testbed.js";
import { Turns, takeTurns } from "../turns.js";
import type { ShareAnswer, ShareCommand } from "./connectionShare.js";
import type { Effort, Part, Progress } from "./part.js";
import { ringBytesOf } from "./ringBytes.js";

const PROGRAM = join(ROOT, "dist/bench/flows/connectionShare.js");
/** Half of what a firewall's table has room for as it comes. */
const CONNECTIONS = 1 << 17;
const STEPS = 3;
const LOADING_MS_MAX = 60_000;
/** lib/conntrack puts one in front of the records. */
const KIND_BYTES = 1;

type Phase = "told as they open" | "told all at once" | "kept for another" | "taken over by the firewall";

interface Told {
  readonly phases: Readonly<Record<Phase, ShareAnswer>>;
  readonly offered_ms: number;
  readonly recordBytes: number;
  readonly ringBytes: number;
  readonly broken: readonly string[];
}

export async function keptConnections(bed: Testbed, { turns }: Effort, progress: Progress): Promise<Part> {
  const backup = new Host("backup");
  await backup.create();
  // Each phase's best counts, and nothing of a turn depends on another one.
  const all = new Turns(
    "connections",
    () => tellAndTake(bed, backup),
    ({ offered_ms }) => offered_ms,
  );
  await takeTurns(turns, [all], (turn) => progress(`connections kept on another node, ${turn}`));
  const phases = Object.keys(all.best.phases) as Phase[];
  return {
    rows: phases.map((phase) => rowOf(phase, all.all)),
    figures: {
      kept_connections_offered_per_s: perSecond(all.best.offered_ms),
      kept_record_bytes_per_connection: round(all.best.recordBytes / CONNECTIONS),
      kept_ring_bytes_per_connection: round(all.best.ringBytes / CONNECTIONS),
    },
    goals: [],
    broken: all.all.flatMap((one) => one.broken),
  };
}

function rowOf(phase: Phase, all: readonly Told[]): Record<string, Figure> {
  const answers = all.map((one) => one.phases[phase]);
  const elapsed_ms = Math.min(...answers.map((one) => one.elapsed_ms));
  const cpu_ms = Math.min(...answers.map((one) => one.cpu_ms));
  return {
    connections: phase,
    connections_per_s: perSecond(elapsed_ms),
    cpu_us_per_connection: round((cpu_ms * 1000) / CONNECTIONS),
    events_lost: Math.max(...answers.map((one) => one.figures.events_lost ?? 0)),
  };
}

async function tellAndTake(bed: Testbed, backup: Host): Promise<Told> {
  // What was measured before has filled the table.
  for (const host of [bed.gateway, backup]) await host.run(["conntrack", "-F"]);
  const teller = await Share.start(bed.gateway, 1);
  const taker = await Share.start(backup, 2);
  try {
    return await bed.behindFirewall(async () => {
      await teller.do({ do: "become", handler: 1, other: 2 });
      await taker.do({ do: "become", handler: 1, other: 2 });
      const telling = teller.do({ do: "tell", records: CONNECTIONS });
      const offered = await connect(bed);
      const told = await telling;
      const { deliveries = [] } = await teller.do({ do: "handOut" });
      const toldAgain = await teller.do({ do: "tellAnew", records: CONNECTIONS });
      const kept = await taker.do({ do: "keep", deliveries });
      const taken = await taker.do({ do: "takeOver", entries: CONNECTIONS });
      const lengths = deliveries.map((one) => Buffer.byteLength(one, "base64"));
      return {
        phases: {
          "told as they open": told,
          "told all at once": toldAgain,
          "kept for another": kept,
          "taken over by the firewall": taken,
        },
        offered_ms: offered.elapsed_ms,
        recordBytes: lengths.reduce((sum, bytes) => sum + bytes, 0),
        ringBytes: lengths.reduce((sum, bytes) => sum + ringBytesOf(bytes + KIND_BYTES), 0),
        broken: brokenOf(kept, taken),
      };
    });
  } finally {
    await Promise.all([teller.end(), taker.end()]);
    for (const host of [bed.gateway, backup]) await host.run(["conntrack", "-F"]);
  }
}

/** Opens them through the gateway's firewall, as fast as it takes them. */
async function connect(bed: Testbed) {
  // The generator writes no checksums of TCP.
  await bed.gateway.sysctl({ "net/netfilter/nf_conntrack_checksum": 0 });
  const frames = STEPS * CONNECTIONS;
  const load = { kind: "tcp-handshake", flows: CONNECTIONS, frames, duration_ms: LOADING_MS_MAX } as const;
  return bed.live({ ...load, destinationMac: EXT_MAC, countAt: "right" });
}

function brokenOf(kept: ShareAnswer, taken: ShareAnswer): string[] {
  const { replicas = 0 } = kept.figures;
  const { taken_over = 0, taken_over_refused = 0 } = taken.figures;
  return [
    ...(replicas === CONNECTIONS ? [] : [`${replicas} of ${CONNECTIONS} connections were kept`]),
    ...(taken_over === CONNECTIONS ? [] : [`the firewall refused ${taken_over_refused} connections`]),
  ];
}

class Share {
  readonly #helper: Helper;

  private constructor(helper: Helper) {
    this.#helper = helper;
  }

  static async start(host: Host, self: number): Promise<Share> {
    return new Share(await Helper.start(host, [process.execPath, PROGRAM, String(self)]));
  }

  async do(command: ShareCommand): Promise<ShareAnswer> {
    return JSON.parse(await this.#helper.ask(JSON.stringify(command))) as ShareAnswer;
  }

  end(): Promise<void> {
    return this.#helper.end();
  }
}

function perSecond(elapsed_ms: number): number {
  return Math.round((CONNECTIONS * 1000) / elapsed_ms);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
