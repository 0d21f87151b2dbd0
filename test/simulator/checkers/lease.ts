// No lease beyond what the rules allow: at most L from now, and at most L after this node last did what others reckon
// from: sent the token on, called for it or answered a call, or went round alone.
import type { Effect } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import { isLeaseProof } from "../wireKinds.js";
import type { Checker, Watched } from "./checker.js";

/** Own clock and true time are converted into each other; a nanosecond may be lost. */
const ROUNDING_MS = 1e-3;

export class Leases implements Checker {
  readonly #watched: Watched;
  /** Own clock. */
  readonly #proof_ms = new Map<SimNode, number>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  effect(node: SimNode, effect: Effect): void {
    if (effect.type === "send" && isLeaseProof(effect.bytes)) this.#proof_ms.set(node, node.nowOwn_ms);
    // Who forms a group, or comes into one, reckons from then.
    if (effect.type === "state" && effect.state === "member") this.#proof_ms.set(node, node.nowOwn_ms);
    if (effect.type === "lease" && effect.until_ms > 0) this.#check(node, effect.until_ms);
  }

  stepped(node: SimNode): void {
    if (node.place.state === "member" && node.view?.members.length === 1) this.#proof_ms.set(node, node.nowOwn_ms);
  }

  #check(node: SimNode, until_ms: number): void {
    const { leaseOwn_ms } = node.options.timers;
    const { report } = this.#watched;
    const fromNow_ms = until_ms - node.nowOwn_ms;
    if (fromNow_ms > leaseOwn_ms + ROUNDING_MS) {
      report("lease", `node ${node.nodeId} has a lease of ${fromNow_ms.toFixed(2)} ms from now`);
    }
    const proof_ms = this.#proof_ms.get(node);
    if ((node.view?.members.length ?? 0) <= 1 || proof_ms === undefined) return;
    if (until_ms > proof_ms + leaseOwn_ms + ROUNDING_MS) {
      const beyond_ms = until_ms - proof_ms - leaseOwn_ms;
      report("lease", `node ${node.nodeId} has a lease that ends ${beyond_ms.toFixed(2)} ms too late`);
    }
  }
}
