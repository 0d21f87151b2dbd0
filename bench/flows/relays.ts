// What a relayed packet costs: with an assignment that is remembered, by the hash alone, and beside what a kernel takes to forward it.

import type { Figure } from "../result.js";
import { EXT_MAC, type LiveMeasurement, type Testbed } from "../testbed.js";
import { Turns, takeTurns } from "../turns.js";
import { doorOf } from "./newFlows.js";
import { type Effort, lossOf, type Part, type Progress } from "./part.js";
import { AUTHORITY_GIVES, HASH_RELAY, loop_ns, PathPort } from "./paths.js";

/** The larger number fits into the kernel's own table as it comes (262,144). */
const FLOWS = [1_000, 200_000] as const;
const POPULATING_MS_MAX = 30_000;

export async function relays(bed: Testbed, effort: Effort, progress: Progress): Promise<Part> {
  const parts: Part[] = [];
  for (const flows of FLOWS) parts.push(await relaysOf(bed, flows, effort, progress));
  return {
    rows: parts.flatMap((part) => part.rows),
    figures: Object.assign({}, ...parts.map((part) => part.figures)) as Part["figures"],
    goals: [],
    broken: parts.flatMap((part) => part.broken),
  };
}

async function relaysOf(bed: Testbed, flows: number, effort: Effort, progress: Progress): Promise<Part> {
  const load = { kind: "udp", flows, duration_ms: effort.duration_ms } as const;
  const kernel = () => bed.live({ ...load, destinationMac: EXT_MAC, countAt: "right" });
  const turnsOf = (name: string, measure: () => Promise<LiveMeasurement>) => new Turns(name, measure, loop_ns);
  const door = turnsOf("the door alone", () => doorOf(bed, "udp", effort.duration_ms));
  const hash = turnsOf("by the hash", () => PathPort.with(bed, HASH_RELAY, (port) => port.run(load)));
  const known = turnsOf("as it is remembered", () => relayOfKnown(bed, load));
  const peers = [
    turnsOf("kernel forwarding", kernel),
    turnsOf("kernel + nftables, conntrack", () => bed.behindFirewall(kernel)),
  ];
  const relayed = [hash, known];
  await takeTurns(effort.turns, [door, ...relayed, ...peers], (turn) => progress(`relays of ${flows} flows, ${turn}`));
  const node_ns = (one: Turns<LiveMeasurement>): number => one.best_ns - door.best_ns;
  const [firewall] = peers.slice(-1);
  return {
    rows: [...relayed, ...peers].map(
      (one): Record<string, Figure> => ({
        "packets of known flows": one.name,
        flows,
        cpu_ns_per_packet_loop: Math.round(one.best_ns),
        cpu_ns_per_packet_node: Math.round(node_ns(one)),
        sent: one.best.sent,
        lost: one.best.sent - one.best.received,
      }),
    ),
    figures: {
      [`remembered_relay_of_kernel_nftables_${flows}`]:
        firewall === undefined ? Number.NaN : Math.round((node_ns(known) / node_ns(firewall)) * 100) / 100,
    },
    goals: [],
    broken: relayed.flatMap((one) => one.all.flatMap((each) => lossOf(`${one.name}, ${flows} flows`, each))),
  };
}

/** Each was answered once before, so it is among those that last. */
function relayOfKnown(
  bed: Testbed,
  load: { readonly kind: "udp"; readonly flows: number; readonly duration_ms: number },
) {
  return PathPort.with(bed, AUTHORITY_GIVES, async (port) => {
    const { flows } = load;
    await port.run({ kind: "udp-answered", flows, frames: 2 * flows, duration_ms: POPULATING_MS_MAX });
    const known = await port.run(load);
    if (known.counts.flows_assigned !== 0) throw new Error("flows were forgotten that had been answered just before");
    return known;
  });
}
