// Planned absences: a data plane that goes on alone is an owner like any other, and no partition excuses a second one, for all members have agreed.
// But for a group that serves and of whose members none has known it all the time: those that were told began anew, or lost their place and came
// into a group that others had formed (docs/decisions/0014-planned-absences.md).
import type { Effect } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import type { Checker } from "./checker.js";

interface Grant {
  readonly from_ms: number;
  /** The lives that were told. */
  readonly told: ReadonlyMap<number, number>;
  /** Of those, who has lost its place since, and has not formed a group. */
  readonly lost: Set<number>;
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
    this.#grants.set(node, { from_ms: this.#now_ms(), told, lost: new Set(), isForgotten: false });
  }

  effect({ nodeId }: SimNode, effect: Effect): void {
    for (const { lost } of this.#grants.values()) {
      if (effect.type === "state" && effect.state === "joining") lost.add(nodeId);
      if (effect.type === "log" && effect.code === "ring_formed") lost.delete(nodeId);
    }
    if (effect.type !== "view" || !effect.view.quorate || this.#grants.size === 0) return;
    const here = this.#nodes.filter(({ nodeId }) => effect.view.members.some((member) => member.nodeId === nodeId));
    for (const grant of this.#grants.values()) {
      const { told, lost } = grant;
      if (!here.some(({ nodeId: id, life }) => told.get(id) === life && !lost.has(id))) grant.isForgotten = true;
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
