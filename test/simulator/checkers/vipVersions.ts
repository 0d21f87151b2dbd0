// A VIP's version grows with every change of owner; within one membership no node ever goes back to an older one, because
// somebody may act on the newer one.
import type { Effect } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import type { Checker, Watched } from "./checker.js";

interface Seen {
  readonly life: number;
  claims: number;
  readonly versions: Map<string, number>;
}

export class VipVersions implements Checker {
  readonly #watched: Watched;
  readonly #seen = new Map<SimNode, Seen>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** What was seen in an earlier membership is forgotten. */
  effect(node: SimNode, effect: Effect): void {
    if (effect.type === "state") this.#seen.delete(node);
  }

  stepped(node: SimNode): void {
    if (!node.isUp || node.place.state !== "member") return;
    let seen = this.#seen.get(node);
    if (seen?.life !== node.life) {
      seen = { life: node.life, claims: Number.NaN, versions: new Map() };
      this.#seen.set(node, seen);
    }
    if (seen.claims === node.claims) return;
    seen.claims = node.claims;
    for (const { address, version } of node.vip.table()) {
      const before = seen.versions.get(address) ?? 0;
      if (version < before)
        this.#watched.report("vip", `node ${node.nodeId} went back from version ${before} to ${version} of ${address}`);
      seen.versions.set(address, version);
    }
  }
}
