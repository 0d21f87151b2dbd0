// The native data plane of this node: one front port per segment, told about views, VIPs and the lease. Used by daemon.ts.

import { hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import type { FrontPort, FrontPortVip, NativeAddon } from "../native.js";
import { frontMac } from "../steering/frontMac.js";
import { buildMaglev } from "../steering/maglev.js";
import { outerInterface } from "./names.js";

interface Port {
  readonly segment: SegmentName;
  readonly port: FrontPort;
  readonly counters: BigUint64Array;
}

const NO_VIEW = new Uint16Array(0);

export class DataPlane {
  readonly #config: Config;
  readonly #native: NativeAddon;
  readonly #ports: Port[] = [];
  readonly #hashKey: Buffer;

  /** Opens the ports; the interfaces must be installed. Throws what FrontPort throws, with nothing left open. */
  constructor(config: Config, native: NativeAddon) {
    this.#config = config;
    this.#native = native;
    this.#hashKey = Buffer.from(hkdfSync("sha256", config.clusterKey, config.cluster, "rainfront flow hash", 16));
    try {
      for (const segment of SEGMENT_NAMES) this.#ports.push(this.#open(segment));
      this.setAnswers(new Map());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #open(segment: SegmentName): Port {
    const counters = new BigUint64Array(
      new SharedArrayBuffer(this.#native.counters.length * BigUint64Array.BYTES_PER_ELEMENT),
    );
    const port = new this.#native.FrontPort({
      nic: this.#config.segments[segment].interface,
      outer: outerInterface(segment),
      frontMac: frontMac(this.#config.cluster, segment, this.#config.node.id),
      counters,
    });
    return { segment, port, counters };
  }

  /** `members` may relay to this node; `ready` ones share the flows. */
  setView(members: readonly number[], ready: readonly number[]): void {
    const slots = ready.length === 0 ? NO_VIEW : buildMaglev(ready);
    for (const { port } of this.#ports) {
      port.setTables({ self: this.#config.node.id, members, slots, hashKey: this.#hashKey });
    }
  }

  /**
   * The VIPs this node answers for, and from when. In force at once; true when the ports also confirmed that no answer by the old
   * list is still on its way out.
   */
  setAnswers(answers: ReadonlyMap<string, { readonly from_ms: number }>): boolean {
    let confirmed = true;
    for (const { port, segment } of this.#ports) {
      const vips = this.#config.vips.filter((vip) => vip.segment === segment);
      confirmed = port.setVips(vips.map((vip) => portVip(vip.address, answers.get(vip.address)))) && confirmed;
    }
    return confirmed;
  }

  setLease(until_ms: number): void {
    const until_ns = BigInt(Math.max(0, Math.floor(until_ms * 1e6)));
    for (const { port } of this.#ports) port.setLease(until_ns);
  }

  announceAgain(): void {
    for (const { port } of this.#ports) port.announceAgain();
  }

  /** Counters by segment. */
  counters(): Record<string, Record<string, number>> {
    const result: Record<string, Record<string, number>> = {};
    for (const { segment, counters } of this.#ports) {
      const named: Record<string, number> = {};
      this.#native.counters.forEach(({ name }, index) => {
        named[name] = Number(counters[index] ?? 0n);
      });
      // The kernel's inner end may refuse frames (its queue is full): the veth counts those, on the outer end.
      named.drop_kernel_refused = interfaceCounter(outerInterface(segment), "tx_dropped");
      result[segment] = named;
    }
    return result;
  }

  close(): void {
    for (const { port } of this.#ports) port.close();
    this.#ports.length = 0;
  }
}

function portVip(address: string, answer: { readonly from_ms: number } | undefined): FrontPortVip {
  if (answer === undefined) return { address };
  return { address, from_ns: BigInt(Math.max(0, Math.ceil(answer.from_ms * 1e6))) };
}

function interfaceCounter(name: string, counter: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/statistics/${counter}`, "utf8"));
  } catch {
    return 0; // the interface is being removed
  }
}
