// Planned absences: a data plane that goes on alone is an owner like any other, and no partition excuses a second one, for all members have agreed.
// But for a group that serves and has no member that was told: all of those began anew, or are elsewhere (docs/decisions/0014-planned-absences.md).
import type { Effect } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import type { Checker } from "./checker.js";

interface Grant {
  readonly from_ms: number;
  /** The lives that have heard of it, at any time. */
  readonly told: Map<number, number>;
  /** The lives that have served without any of those. */
  readonly forgetful: Map<number, number>;
}

export class Absentees implements Checker {
  readonly #nodes: readonly SimNode[];
  readonly #now_ms: () => number;
  readonly #grants = new Map<SimNode, Grant>();

  constructor(nodes: readonly SimNode[], now_ms: () => number) {
    this.#nodes = nodes;
    this.#now_ms = now_ms;
  }

  granted(node: SimNode): void {
    this.#grants.set(node, { from_ms: this.#now_ms(), told: new Map(), forgetful: new Map() });
    this.#listen();
  }

  effect(_node: SimNode, effect: Effect): void {
    if (this.#grants.size === 0 || effect.type !== "view") return;
    this.#listen();
    if (!effect.view.quorate) return;
    const here = this.#nodes.filter(({ nodeId }) => effect.view.members.some((member) => member.nodeId === nodeId));
    for (const grant of this.#grants.values()) {
      if (here.some(({ nodeId, life }) => grant.told.get(nodeId) === life)) continue;
      for (const { nodeId, life } of here) grant.forgetful.set(nodeId, life);
    }
  }

  #listen(): void {
    for (const [absentee, { told }] of this.#grants) {
      for (const node of this.#nodes)
        if (node !== absentee && node.knownAbsent.has(absentee.nodeId)) told.set(node.nodeId, node.life);
    }
  }

  /** One of the two data planes goes on alone. */
  concerns(a: SimNode, b: SimNode): boolean {
    return a.isHeld || b.isHeld;
  }

  /** Clocks that jump cut waits short, as they do for leases. */
  excuses(a: SimNode, b: SimNode): boolean {
    return [
      [a, b],
      [b, a],
    ].some(([node, other]) => {
      const grant = node?.isHeld ? this.#grants.get(node) : undefined;
      if (grant === undefined || other === undefined) return false;
      return (
        grant.forgetful.get(other.nodeId) === other.life ||
        this.#nodes.some(({ steppedClock_ms }) => steppedClock_ms >= grant.from_ms)
      );
    });
  }
}
