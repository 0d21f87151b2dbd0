// Under `majority` a view serves only if more than half of the configured nodes have come in. One that was put in and has not had the token may
// be in another group, and count there.
import type { Effect } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import type { Checker, Watched } from "./checker.js";

export class QuorumOfMembers implements Checker {
  readonly #watched: Watched;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  effect(node: SimNode, effect: Effect): void {
    const { quorum } = node.options;
    if (effect.type !== "view" || !effect.view.quorate || quorum.policy === "available") return;
    const { epoch, origin, members } = effect.view;
    const here = members.filter(({ ready }) => ready).map(({ nodeId }) => nodeId);
    const surplus = 2 * here.length - this.#watched.nodes.length;
    if (surplus > 0 || (surplus === 0 && here.includes(quorum.tieBreaker))) return;
    const who = here.length === 0 ? "nobody" : here.join(",");
    this.#watched.report(
      "quorum",
      `node ${node.nodeId} serves in view ${epoch}/${origin}, in which ${who} has come in`,
    );
  }
}
