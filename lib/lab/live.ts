// `npm run lab` without a scenario: steady traffic, a table once a second, and keys that kill, pause and revive gateways.

import { emitKeypressEvents } from "node:readline";
import { z } from "zod";
import type { GatewayStatus } from "../api/controlProtocol.js";
import { RainfrontError } from "../errors.js";
import { revive } from "./control.js";
import { readFirewall } from "./firewall.js";
import type { Gateway } from "./gateway.js";
import type { Lab } from "./lab.js";
import { SEGMENTS } from "./plan.js";
import { type GatewayRow, renderTable, type TrafficRow } from "./table.js";

const REQUESTS_PER_S = 100;
const REFRESH_MS = 1000;
const KEYS = "keys: k1 kill gw1, p1 pause it, r1 revive it, q or Ctrl-C quit";

/** Counters of one gateway at one time. */
interface Sample {
  readonly in_packets: number;
  readonly out_packets: number;
  readonly relayed: number;
  readonly drops: Readonly<Record<string, number>>;
}

export async function runLive(lab: Lab): Promise<never> {
  const live = new Live(lab);
  if (process.stdin.isTTY) live.listenToKeys();
  await lab.startProbing();
  lab.load.rate(REQUESTS_PER_S);
  for (let next_ms = performance.now(); ; ) {
    await live.refresh();
    next_ms = Math.max(next_ms + REFRESH_MS, performance.now());
    await new Promise((resolve) => setTimeout(resolve, next_ms - performance.now()));
  }
}

class Live {
  readonly #lab: Lab;
  readonly #samples = new Map<string, Sample>();
  #sampled_ms = performance.now();
  #ok = 0;
  #failed = 0;
  #double_owner_ms = 0;
  #message = "";

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  listenToKeys(): void {
    emitKeypressEvents(process.stdin);
    process.stdin.setRawMode(true);
    let verb = "";
    process.stdin.on("keypress", (_text: string, key: { name?: string; ctrl?: boolean; sequence?: string }) => {
      const name = key.name ?? key.sequence ?? "";
      if (name === "q" || (key.ctrl && name === "c")) process.exit(0);
      if (["k", "p", "r"].includes(name)) verb = name;
      else if (/^[1-9]$/.test(name) && verb !== "") void this.#obey(verb, name).finally(() => (verb = ""));
    });
  }

  async #obey(verb: string, number: string): Promise<void> {
    try {
      const gateway = this.#lab.gateway(number);
      if (verb === "k") await gateway.kill();
      else if (verb === "p") gateway.pause();
      else await revive(gateway);
      this.#message = `${gateway.plan.name} is ${gateway.state}`;
    } catch (error) {
      this.#message = error instanceof RainfrontError ? error.message : String(error);
    }
  }

  async refresh(): Promise<void> {
    const packets = await this.#nicPackets();
    const now_ms = performance.now();
    const seconds = Math.max(0.001, (now_ms - this.#sampled_ms) / 1000);
    this.#sampled_ms = now_ms;
    const rows = await Promise.all(this.#lab.gateways.map((gateway) => this.#row(gateway, packets, seconds)));
    const table = renderTable(rows, await this.#traffic(seconds));
    if (process.stdout.isTTY) {
      process.stdout.write(`\x1b[2J\x1b[H${table}\n\n${KEYS}\n${this.#message}\n`);
    } else {
      process.stdout.write(`${table}\n\n`);
    }
  }

  async #row(gateway: Gateway, packets: ReadonlyMap<string, NicPackets>, seconds: number): Promise<GatewayRow> {
    const { name } = gateway.plan;
    const status = gateway.state === "running" ? await gateway.status().catch(() => undefined) : undefined;
    const last = this.#samples.get(name);
    const sample = sampleOf(packets.get(name), status, last);
    const before = last ?? sample;
    this.#samples.set(name, sample);
    const firewall = gateway.state === "killed" ? undefined : await readFirewall(gateway.host).catch(() => undefined);
    const rate = (now: number, then: number) => Math.max(0, now - then) / seconds;
    return {
      name,
      state: gateway.state === "running" ? (status?.state ?? "starting") : gateway.state,
      vips: status?.vips.filter((vip) => vip.answering).map((vip) => vip.address) ?? [],
      in_pps: rate(sample.in_packets, before.in_packets),
      out_pps: rate(sample.out_packets, before.out_packets),
      relayed_pps: rate(sample.relayed, before.relayed),
      dropped: Object.fromEntries(
        Object.entries(sample.drops).map(([cause, count]) => [cause, Math.max(0, count - (before.drops[cause] ?? 0))]),
      ),
      firewallInvalid: firewall === undefined ? 0 : firewall.forward_invalid + firewall.input_invalid,
    };
  }

  async #traffic(seconds: number): Promise<TrafficRow> {
    const results = this.#lab.load.takeResults();
    const failed = results.filter((result) => result.error !== undefined).length;
    const ok = results.length - failed;
    this.#ok += ok;
    this.#failed += failed;
    const [seen, probed] = await Promise.all([this.#lab.observe(), this.#lab.probe()]);
    this.#lab.resetTesters();
    this.#double_owner_ms += seen.reduce((sum, report) => sum + report.double_owner_ms, 0);
    return {
      ok_per_s: ok / seconds,
      failed_per_s: failed / seconds,
      ok: this.#ok,
      failed: this.#failed,
      silence_ms: Math.max(0, ...probed.map((report) => report.gap_ms)),
      double_owner_ms: this.#double_owner_ms,
    };
  }

  /** Packets of every gateway's NICs, read where they cannot lie: at the switches. */
  async #nicPackets(): Promise<ReadonlyMap<string, NicPackets>> {
    const sums = new Map<string, NicPackets>();
    for (const segment of SEGMENTS) {
      const links = linksSchema.parse(
        JSON.parse(await this.#lab.switches[segment].run(["ip", "-json", "-stats", "link", "show", "type", "veth"])),
      );
      for (const { ifname, stats64 } of links) {
        const sum = sums.get(ifname) ?? { in_packets: 0, out_packets: 0 };
        sums.set(ifname, {
          in_packets: sum.in_packets + stats64.tx.packets,
          out_packets: sum.out_packets + stats64.rx.packets,
        });
      }
    }
    return sums;
  }
}

interface NicPackets {
  readonly in_packets: number;
  readonly out_packets: number;
}

const packetsSchema = z.object({ packets: z.number() });
const linksSchema = z.array(
  z.object({ ifname: z.string(), stats64: z.object({ rx: packetsSchema, tx: packetsSchema }) }),
);

/** A daemon that does not answer counts on unseen: then its counters stand still here, as in the last sample. */
function sampleOf(
  packets: NicPackets | undefined,
  status: GatewayStatus | undefined,
  last: Sample | undefined,
): Sample {
  const nics = { in_packets: packets?.in_packets ?? 0, out_packets: packets?.out_packets ?? 0 };
  if (status === undefined) return { ...nics, relayed: last?.relayed ?? 0, drops: last?.drops ?? {} };
  const drops: Record<string, number> = {};
  let relayed = 0;
  for (const counters of Object.values(status.ports)) {
    relayed += counters.relay_out_frames ?? 0;
    for (const [name, count] of Object.entries(counters)) {
      if (name.startsWith("drop_")) drops[name] = (drops[name] ?? 0) + count;
    }
  }
  return { ...nics, relayed, drops };
}
