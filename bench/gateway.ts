// `bench gateway`: packets per second and CPU per packet through one gateway, and what an idle cluster costs; one run.

import { keepCpusAwake } from "../lib/lab/awake.js";
import { enterBox } from "../lib/lab/isolation.js";
import { loadNativeIfPresent } from "../lib/native.js";
import { idleCluster } from "./idleCluster.js";
import type { BenchResult, Figure } from "./result.js";
import { type Measurement, SingleGateway, type UdpLoad } from "./singleGateway.js";
import { Turns, takeTurns } from "./turns.js";

/** Rainfront's share of the packet rate of kernel + nftables that it promises at least. */
const RATIO_MIN = 0.4;
/** A relay by XDP costs at most this part of kernel + nftables. */
const RELAY_SHARE_MAX = 5;
const FLOWS = [1_000, 1_000_000] as const;
const TURNS = 7;
const IDLE_CPU_PERCENT_MAX = 1;
/** With the program itself, which is kept in memory: some 93 MB of it, shared by all of its processes. */
const IDLE_RESIDENT_MB_MAX = 200;

export async function benchGateway(seconds: number, runFolder: string): Promise<BenchResult> {
  enterBox(130);
  keepCpusAwake((line) => process.stderr.write(`${line}\n`));
  const gateway = new SingleGateway(runFolder);
  await gateway.build();
  const duration_ms = seconds * 1000;
  const progress = (what: string): void => void process.stderr.write(`measuring ${what} …\n`);

  progress("the sender alone");
  const sender = await gateway.sendOnly(duration_ms);
  const senderOnly_ns = sender.busy_ns / sender.sent;
  progress("kernel forwarding");
  const kernel = await gateway.kernel(duration_ms);
  progress("kernel + nftables with conntrack");
  const firewall = await gateway.kernelWithFirewall(duration_ms);
  progress("Rainfront on AF_PACKET + the same firewall");
  const rainfront = await gateway.rainfront(duration_ms);
  const rings = await ringRelays(gateway, duration_ms, senderOnly_ns, progress);
  const live = await liveRows(gateway, duration_ms, progress);
  progress("an idle cluster of 3");
  const idle = await idleCluster(3, Math.max(10, seconds));

  const dropped = Object.values(rainfront.drops).reduce((sum, count) => sum + count, 0);
  const ratio = pps(rainfront) / pps(firewall);
  const silent_loss = rainfront.sent - rainfront.received - dropped;
  const broken = [
    ...(ratio < RATIO_MIN ? [`ratio ${ratio.toFixed(2)} is under ${RATIO_MIN}`] : []),
    ...rings.broken,
    ...live.broken,
    ...(silent_loss !== 0 ? [`${silent_loss} frames were lost without being counted`] : []),
    ...(idle.resident_mb_max > IDLE_RESIDENT_MB_MAX
      ? [`an idle node uses ${idle.resident_mb_max} MB, more than ${IDLE_RESIDENT_MB_MAX}`]
      : []),
  ];
  return {
    bench: "gateway",
    ok: broken.length === 0,
    rows: [
      row("kernel forwarding", kernel, senderOnly_ns),
      row("kernel + nftables, conntrack", firewall, senderOnly_ns),
      { ...row("Rainfront af_packet + nftables", rainfront, senderOnly_ns), counted_drops: dropped },
      ...rings.rows,
      ...live.rows,
    ],
    figures: {
      rainfront_to_kernel_nftables: round(ratio),
      silent_loss,
      ...(live.skipped === undefined ? {} : { loop_in_the_kernel: live.skipped }),
      drops: JSON.stringify(rainfront.drops),
      sender_only_cpu_ns_per_packet: Math.round(senderOnly_ns),
      idle_nodes: idle.nodes,
      idle_cpu_percent_per_node: idle.cpu_percent_max,
      idle_resident_mb_per_node: idle.resident_mb_max,
    },
    goals: [
      {
        goal: "CPU time of an idle node, of a core",
        wanted: `at most ${IDLE_CPU_PERCENT_MAX} %`,
        got: idle.cpu_percent_max,
        met: idle.cpu_percent_max <= IDLE_CPU_PERCENT_MAX,
      },
    ],
    broken,
  };
}

/** Relays by packet rings. */
async function ringRelays(
  gateway: SingleGateway,
  duration_ms: number,
  senderOnly_ns: number,
  progress: (what: string) => void,
) {
  const rows: Record<string, Figure>[] = [];
  const broken: string[] = [];
  for (const flows of FLOWS) {
    const name = `Rainfront af_packet, relay, ${flows} flows`;
    progress(name);
    const measurement = await gateway.ringRelay({ flows, duration_ms });
    rows.push(row(name, measurement, senderOnly_ns));
    broken.push(...lossOf(name, measurement));
  }
  return { rows, broken };
}

function lossOf(name: string, { sent, received }: Measurement): string[] {
  return received === sent ? [] : [`${name}: ${sent - received} of ${sent} frames were lost`];
}

/** The loop that is closed inside the kernel: what one packet costs the gateway, next to what its door costs. All take turns, so that what else the machine does meets all. */
async function liveRows(gateway: SingleGateway, duration_ms: number, progress: (what: string) => void) {
  const rows: Record<string, Figure>[] = [];
  const broken: string[] = [];
  if (loadNativeIfPresent()?.xdp === undefined) {
    progress("skipped: the loop in the kernel, because the addon was built without clang or libbpf");
    return { rows, broken, skipped: "skipped: built without clang or libbpf" };
  }
  for (const flows of FLOWS) {
    const load = { flows, duration_ms: duration_ms / 2 };
    const door = new Turns("the door alone", () => liveDoorOf(gateway, load), loop_ns);
    const kernel = new Turns("kernel forwarding", () => gateway.liveKernel(load), loop_ns);
    const firewall = new Turns("kernel + nftables, conntrack", () => gateway.liveFirewall(load), loop_ns);
    const relay = new Turns("Rainfront xdp, relay", () => gateway.liveRelay(load), loop_ns);
    await takeTurns(TURNS, [door, kernel, firewall, relay], (turn) =>
      progress(`what comes from the kernel, ${flows} flows, ${turn}`),
    );
    for (const { name, best } of [door, kernel, firewall, relay])
      rows.push(row(`${name}, ${flows} flows, from the kernel`, best, door.best_ns));
    for (const one of relay.all) broken.push(...lossOf(`${relay.name}, ${flows} flows`, one));
    const [relay_ns, firewall_ns] = [relay.best_ns - door.best_ns, firewall.best_ns - door.best_ns];
    if (flows === FLOWS[0] && relay_ns > firewall_ns / RELAY_SHARE_MAX) {
      broken.push(
        `a relay costs ${Math.round(relay_ns)} ns, over 1/${RELAY_SHARE_MAX} of ${Math.round(firewall_ns)} ns`,
      );
    }
  }
  return { rows, broken, skipped: undefined };
}

/** What enters there ends there. */
async function liveDoorOf(gateway: SingleGateway, load: UdpLoad): Promise<Measurement> {
  const door = await gateway.liveDoor(load);
  return { ...door, received: door.sent };
}

function loop_ns({ busy_ns, received }: Measurement): number {
  return busy_ns / received;
}

function pps(measurement: Measurement): number {
  return (measurement.received * 1000) / measurement.elapsed_ms;
}

function row(gateway: string, measurement: Measurement, senderOnly_ns: number): Record<string, Figure> {
  const cost_ns = loop_ns(measurement);
  return {
    gateway,
    pps: Math.round(pps(measurement)),
    cpu_ns_per_packet_loop: Math.round(cost_ns),
    cpu_ns_per_packet_gateway: Math.round(cost_ns - senderOnly_ns),
    sent: measurement.sent,
    received: measurement.received,
    lost: measurement.sent - measurement.received,
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
