// How much of its share of the new flows a node gets, by how busy it says it is: policy `balanced`. Each authority goes by what it has heard, so nothing has to be agreed on. Pure; the
// daemons' reports come by the ring (gatewayPlugin.ts).

import { LOAD_KIND } from "../messageKinds.js";
import { MAGLEV_SLOTS } from "./maglev.js";

/** What is older says nothing: its node gets what its weight says, as the least busy one does. */
export const REPORT_LIFE_MS = 10_000;
/** A node that has no time left gets some flows still: its report may be wrong, and the others may be no better. */
const HEADROOM_MIN = 0.1;
/** Of a new report: the rest is what was known, so that a moment's burst moves nothing. */
const NEWS = 0.3;
/** Shares that differ by less are the same: what each node then handles follows late, and shares that follow every breath swing. */
const CHANGE_MIN = 0.15;

interface Known {
  readonly headroom: number;
  readonly heard_ms: number;
}

export class Loads {
  readonly #known = new Map<number, Known>();
  #inForce: ReadonlyMap<number, number> = new Map();

  /** `busy`: 0 to 1, of a node's CPUs. What is no such number is ignored. */
  hear(node: number, busy: number, now_ms: number): void {
    if (!(busy >= 0 && busy <= 1)) return;
    const headroom = Math.max(HEADROOM_MIN, 1 - busy);
    const before = this.#fresh(node, now_ms);
    this.#known.set(node, {
      headroom: before === undefined ? headroom : before + NEWS * (headroom - before),
      heard_ms: now_ms,
    });
  }

  /** Shares of `nodes`, which add up to 1; the same object as long as nothing has changed that counts. */
  shares(nodes: readonly number[], weightOf: (node: number) => number, now_ms: number): ReadonlyMap<number, number> {
    for (const node of this.#known.keys()) if (!nodes.includes(node)) this.#known.delete(node);
    const headrooms = new Map(nodes.map((node) => [node, this.#fresh(node, now_ms)]));
    const most = Math.max(...[...headrooms.values()].map((headroom) => headroom ?? 0), HEADROOM_MIN);
    const wanted = nodes.map((node) => weightOf(node) * (headrooms.get(node) ?? most));
    const sum = wanted.reduce((all, one) => all + one, 0);
    const shares = new Map(nodes.map((node, index) => [node, (wanted[index] ?? 0) / sum]));
    if (!this.#isAsBefore(shares)) this.#inForce = shares;
    return this.#inForce;
  }

  #fresh(node: number, now_ms: number): number | undefined {
    const known = this.#known.get(node);
    return known !== undefined && now_ms - known.heard_ms <= REPORT_LIFE_MS ? known.headroom : undefined;
  }

  #isAsBefore(shares: ReadonlyMap<number, number>): boolean {
    const before = this.#inForce;
    return (
      before.size === shares.size &&
      [...shares].every(([node, share]) => {
        const was = before.get(node);
        return was !== undefined && Math.abs(share - was) <= CHANGE_MIN * was;
      })
    );
  }
}

/** So far apart are neighbours of the same hash: a table whose every part has all nodes by their shares. Prime to the number of slots. */
const STRIDE = 40_503;

/**
 * The node of each slot, by shares that add up to 1. Unlike Maglev's table (maglev.ts) it does not keep what it can of the one before, and takes a hundredth of the time: who has a flow
 * already keeps it.
 */
export function spreadByShares(shares: ReadonlyMap<number, number>): Uint16Array {
  const slots = new Uint16Array(MAGLEV_SLOTS);
  const nodes = [...shares.keys()].sort((a, b) => a - b);
  let end = 0;
  let next = 0;
  nodes.forEach((node, index) => {
    end += shares.get(node) ?? 0;
    const until = index === nodes.length - 1 ? MAGLEV_SLOTS : Math.round(end * MAGLEV_SLOTS);
    for (; next < until; next++) slots[(next * STRIDE) % MAGLEV_SLOTS] = node;
  });
  return slots;
}

/** The kind, and thousandths. */
const MESSAGE_BYTES = 3;
const THOUSANDTHS = 1000;

/** What a node tells all others; `busy`: 0 to 1. */
export function loadMessage(busy: number): Uint8Array {
  const message = Buffer.alloc(MESSAGE_BYTES);
  message.writeUInt8(LOAD_KIND, 0);
  message.writeUInt16BE(Math.round(Math.min(1, Math.max(0, busy)) * THOUSANDTHS), 1);
  return message;
}

/** Undefined: it is none. */
export function readLoad(message: Uint8Array): number | undefined {
  if (message.length !== MESSAGE_BYTES || message[0] !== LOAD_KIND) return undefined;
  return Math.min(1, (((message[1] ?? 0) << 8) | (message[2] ?? 0)) / THOUSANDTHS);
}
