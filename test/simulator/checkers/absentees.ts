// Planned absences: a data plane that goes on alone is an owner like any other, and no partition excuses a second one, for all members have agreed.
// There is none either whom that could be asked of: if a group serves of whose members none has lived since it was told, nobody there can know.
import type { Effect } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import type { Checker } from "./checker.js";

interface Grant {
  readonly from_ms: number;
  /** The lives that were told. */
  readonly told: ReadonlyMap<number, number>;
  isForgotten: boolean;
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
    const members = node.view?.members.map(({ nodeId }) => nodeId) ?? [];
    const others = this.#nodes.filter((other) => other !== node && members.includes(other.nodeId));
    const told = new Map(others.map(({ nodeId, life }) => [nodeId, life]));
    this.#grants.set(node, { from_ms: this.#now_ms(), told, isForgotten: false });
  }

  effect(_node: SimNode, effect: Effect): void {
    if (effect.type !== "view" || !effect.view.quorate || this.#grants.size === 0) return;
    const here = this.#nodes.filter(({ nodeId }) => effect.view.members.some((member) => member.nodeId === nodeId));
    for (const grant of this.#grants.values()) {
      if (!here.some(({ nodeId, life }) => grant.told.get(nodeId) === life)) grant.isForgotten = true;
    }
  }

  /** One of the two data planes goes on alone. */
  concerns(a: SimNode, b: SimNode): boolean {
    return a.isHeld || b.isHeld;
  }

  /** Clocks that jump cut waits short, as they do for leases. */
  excuses(a: SimNode, b: SimNode): boolean {
    return [a, b].some((node) => {
      const grant = node.isHeld ? this.#grants.get(node) : undefined;
      if (grant === undefined) return false;
      return grant.isForgotten || this.#nodes.some(({ steppedClock_ms }) => steppedClock_ms >= grant.from_ms);
    });
  }
}
