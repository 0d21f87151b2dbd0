// At most one node answers for a VIP at any moment of true time; and for how long nobody did. Works on intervals, which
// change only when some node's claims do, so that time between events is checked as well and costs nothing.
import type { Interval } from "../interruptions.js";
import type { SimNode } from "../node.js";
import type { Absentees } from "./absentees.js";
import type { Checker, Watched } from "./checker.js";

interface Address {
  readonly address: string;
  /** In the order of the nodes. */
  readonly claims: (Interval | undefined)[];
  /** Silence is known up to here. */
  settledUntil_ms: number;
  silentSince_ms: number | undefined;
  longestSilence_ms: number;
}

export class Ownership implements Checker {
  readonly #watched: Watched;
  readonly #absentees: Absentees;
  readonly #addresses: readonly Address[];
  readonly #seenClaims: number[];
  readonly #reported = new Set<string>();
  #checkedUntil_ms = 0;
  /** No two claims overlap before this. */
  #nextOverlap_ms = Number.POSITIVE_INFINITY;

  constructor(watched: Watched, addresses: readonly string[], absentees: Absentees) {
    this.#watched = watched;
    this.#absentees = absentees;
    this.#seenClaims = watched.nodes.map((node) => node.claims);
    this.#addresses = addresses.map((address) => ({
      address,
      claims: watched.nodes.map(() => undefined),
      settledUntil_ms: 0,
      silentSince_ms: undefined,
      longestSilence_ms: 0,
    }));
  }

  timePasses(until_ms: number): void {
    if (until_ms <= this.#checkedUntil_ms) return;
    if (until_ms > this.#nextOverlap_ms) this.#examine(until_ms);
    this.#checkedUntil_ms = until_ms;
  }

  stepped(node: SimNode): void {
    const index = this.#watched.nodes.indexOf(node);
    if (this.#seenClaims[index] === node.claims) return;
    this.#seenClaims[index] = node.claims;
    for (const entry of this.#addresses) {
      this.#settle(entry, this.#checkedUntil_ms);
      entry.claims[index] = node.answering(entry.address);
    }
    this.#nextOverlap_ms = Number.POSITIVE_INFINITY;
    for (const entry of this.#addresses) this.#planOverlap(entry);
  }

  /** Begins to measure silence anew. */
  resetSilence(): void {
    for (const entry of this.#addresses) {
      entry.settledUntil_ms = this.#checkedUntil_ms;
      entry.silentSince_ms = undefined;
      entry.longestSilence_ms = 0;
    }
  }

  /** The longest time in which nobody answered for a VIP, since the last reset; one that goes on counts, too. */
  longestSilence_ms(address: string): number {
    const entry = this.#addresses.find((candidate) => candidate.address === address);
    if (entry === undefined) return 0;
    this.#settle(entry, this.#checkedUntil_ms);
    const current_ms = entry.silentSince_ms === undefined ? 0 : this.#checkedUntil_ms - entry.silentSince_ms;
    return Math.max(current_ms, entry.longestSilence_ms);
  }

  #planOverlap(entry: Address): void {
    this.#forOverlaps(entry, this.#checkedUntil_ms, Number.POSITIVE_INFINITY, (_a, _b, at_ms) => {
      this.#nextOverlap_ms = Math.min(this.#nextOverlap_ms, at_ms);
    });
  }

  #examine(until_ms: number): void {
    const { nodes, excuse, report } = this.#watched;
    for (const entry of this.#addresses) {
      this.#forOverlaps(entry, this.#checkedUntil_ms, until_ms, (i, j, at_ms) => {
        const [a, b] = [nodes[i], nodes[j]];
        if (a === undefined || b === undefined) return;
        const absentees = this.#absentees;
        if (absentees.concerns(a, b) ? absentees.excuses(a, b) : excuse.covers(a, b, at_ms)) return;
        const key = `${entry.address} ${a.nodeId} ${b.nodeId}`;
        if (this.#reported.has(key)) return;
        this.#reported.add(key);
        report("ownership", `nodes ${a.nodeId} and ${b.nodeId} both answer for ${entry.address}`, at_ms);
      });
    }
  }

  #forOverlaps(
    entry: Address,
    from_ms: number,
    until_ms: number,
    act: (i: number, j: number, at_ms: number) => void,
  ): void {
    const { claims } = entry;
    for (let i = 0; i < claims.length; i++) {
      const a = claims[i];
      if (a === undefined || a.until_ms <= from_ms) continue;
      for (let j = i + 1; j < claims.length; j++) {
        const b = claims[j];
        if (b === undefined) continue;
        const start_ms = Math.max(from_ms, a.from_ms, b.from_ms);
        if (start_ms < Math.min(until_ms, a.until_ms, b.until_ms)) act(i, j, start_ms);
      }
    }
  }

  /** Takes the silence between what is known and `until_ms` to account. */
  #settle(entry: Address, until_ms: number): void {
    let answeredUntil_ms = entry.settledUntil_ms;
    if (until_ms <= answeredUntil_ms) return;
    const spans = entry.claims
      .filter((claim) => claim !== undefined && claim.until_ms > answeredUntil_ms && claim.from_ms < until_ms)
      .map((claim) => claim as Interval)
      .filter((claim) => claim.from_ms < claim.until_ms)
      .sort((a, b) => a.from_ms - b.from_ms);
    for (const span of spans) {
      if (span.from_ms > answeredUntil_ms) silence(entry, answeredUntil_ms, span.from_ms);
      entry.silentSince_ms = undefined;
      answeredUntil_ms = Math.max(answeredUntil_ms, Math.min(until_ms, span.until_ms));
    }
    if (answeredUntil_ms < until_ms) silence(entry, answeredUntil_ms, until_ms);
    entry.settledUntil_ms = until_ms;
  }
}

function silence(entry: Address, from_ms: number, until_ms: number): void {
  entry.silentSince_ms ??= from_ms;
  entry.longestSilence_ms = Math.max(entry.longestSilence_ms, until_ms - entry.silentSince_ms);
}
