// At most one node holds the token of a view, and what a node has seen only grows: within a life no older token is ever
// taken for the newest.
import { compareTokens, type TokenId } from "../../../lib/raincore/token.js";
import type { SimNode } from "../node.js";
import type { Checker, Watched } from "./checker.js";

interface Seen {
  readonly life: number;
  readonly newest: TokenId;
}

export class TokenLife implements Checker {
  readonly #watched: Watched;
  readonly #seen = new Map<SimNode, Seen>();
  readonly #holders = new Map<SimNode, TokenId>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  stepped(node: SimNode): void {
    const { epoch, origin, seq, holding } = node.place;
    const newest = { epoch, origin, seq };
    const before = this.#seen.get(node);
    if (before?.life === node.life && compareTokens(newest, before.newest) < 0) {
      const from = `${before.newest.epoch}/${before.newest.origin}/${before.newest.seq}`;
      this.#watched.report("token", `node ${node.nodeId} went back from ${from} to ${epoch}/${origin}/${seq}`);
    }
    this.#seen.set(node, { life: node.life, newest });
    if (!node.isUp || !holding) this.#holders.delete(node);
    else this.#checkHolder(node, newest);
  }

  #checkHolder(node: SimNode, held: TokenId): void {
    this.#holders.set(node, held);
    if (this.#holders.size === 1) return;
    for (const [other, theirs] of this.#holders) {
      if (other === node || theirs.epoch !== held.epoch || theirs.origin !== held.origin) continue;
      const what = `nodes ${node.nodeId} and ${other.nodeId} hold the token of epoch ${held.epoch}/${held.origin}`;
      this.#watched.report("token", what);
    }
  }
}
