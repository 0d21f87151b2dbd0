// Locks as their clients see them: the holders of a lock are disjoint in true time, its fencing numbers only grow, and none
// is given twice. A holder is one from when it is granted until it is told otherwise, gives it up, dies, or its node's
// lease ends: a stopped process hears nothing, but its lease runs out on its own.
import { fenceBase } from "../../../lib/raincore/locks/policy.js";
import type { Effect } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import type { Checker, Watched } from "./checker.js";

/** What is below it counts within a view. */
const ORIGIN_SHIFT = 16n;

interface Hold {
  readonly node: SimNode;
  readonly life: number;
  readonly client: string;
  readonly fence: bigint;
}

/** A view by whose name numbers begin. The name may come again, with other lives. */
interface Numbered {
  /** Incarnations by node. */
  readonly members: ReadonlyMap<number, bigint>;
  /** When it was first seen. */
  readonly from_ms: number;
}

interface Grant {
  readonly fence: bigint;
  readonly node: SimNode;
  /** No number of its view was given before: a lock is told of when its wait is over, and who had part in it may have begun anew by then. */
  readonly notBefore_ms: number;
  /** Of the view in which it was given. */
  readonly members: readonly number[];
}

interface Lock {
  holds: Hold[];
  /** Of the greatest number. */
  latest: Grant | undefined;
  /** The last grant with each number. */
  readonly fences: Map<bigint, Grant>;
}

export class LockHolders implements Checker {
  readonly #watched: Watched;
  readonly #locks = new Map<string, Lock>();
  /** By the part of fencing numbers that tells the view. */
  readonly #views = new Map<bigint, Numbered>();
  /** Granted in the step that is not over: its effects, the lease among them, are not applied yet. */
  readonly #fresh: { readonly node: SimNode; readonly name: string }[] = [];

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  granted(node: SimNode, name: string, client: string, fence: bigint): void {
    const now_ms = this.#watched.now_ms();
    const lock = this.#lockOf(name);
    const { latest } = lock;
    // Of the view that the number is of, if it is one; else of that in which the lock is told of. Its name may come again later.
    const numbered = this.#views.get(fence >> ORIGIN_SHIFT);
    const members = numbered?.members.keys() ?? node.visiting?.members.map(({ nodeId }) => nodeId) ?? [];
    const grant: Grant = { fence, node, notBefore_ms: numbered?.from_ms ?? now_ms, members: [...members] };
    const same = lock.fences.get(fence);
    if (same !== undefined && !this.#isForgotten(grant, same))
      this.#violate(`node ${node.nodeId} is granted ${name} with ${fence}, which was given before`);
    lock.fences.set(fence, grant);
    if (latest !== undefined && fence <= latest.fence && !this.#isOrderExcused(grant, latest)) {
      this.#violate(
        `node ${node.nodeId} is granted ${name} with ${fence} after node ${latest.node.nodeId} with ${latest.fence}`,
      );
    }
    if (latest === undefined || fence > latest.fence) lock.latest = grant;
    this.#fresh.push({ node, name });
    lock.holds = lock.holds.filter((hold) => isHeld(hold, now_ms));
    for (const hold of lock.holds) {
      if (this.#watched.excuse.covers(node, hold.node, now_ms)) continue;
      this.#violate(
        `node ${node.nodeId} (${client}) is granted ${name}, which node ${hold.node.nodeId} (${hold.client}) holds`,
      );
    }
    lock.holds.push({ node, life: node.life, client, fence });
  }

  /** Where several groups may serve, a number that one gave is not to be compared with those of a node outside of it. */
  #isOrderExcused(grant: Grant, latest: Grant): boolean {
    const { node, fence } = grant;
    const { excuse, now_ms } = this.#watched;
    if (excuse.covers(node, latest.node, now_ms()) || this.#isForgotten(grant, latest)) return true;
    const isOutside = (number: bigint, other: SimNode) =>
      this.#views.get(number >> ORIGIN_SHIFT)?.members.has(other.nodeId) === false;
    return excuse.allowsGroups && (isOutside(fence, latest.node) || isOutside(latest.fence, node));
  }

  /** Of those that could know how far the numbers had come, each has begun anew since then, with its clock set back. */
  #isForgotten(grant: Grant, latest: Grant): boolean {
    const both = this.#watched.nodes.filter(
      ({ nodeId }) => grant.members.includes(nodeId) && latest.members.includes(nodeId),
    );
    return both.length > 0 && both.every(({ lastSetBack_ms }) => lastSetBack_ms >= latest.notBefore_ms);
  }

  effect(_node: SimNode, effect: Effect): void {
    if (effect.type !== "view") return;
    const { epoch, origin } = effect.view;
    const name = fenceBase({ epoch, origin }) >> ORIGIN_SHIFT;
    const members = new Map(effect.view.members.map(({ nodeId, incarnation }) => [nodeId, incarnation]));
    const known = this.#views.get(name);
    if (known !== undefined && isSame(known.members, members)) return;
    this.#views.set(name, { members, from_ms: this.#watched.now_ms() });
  }

  stepped(): void {
    for (const { node, name } of this.#fresh) {
      if (node.leaseUntil_ms > this.#watched.now_ms()) continue;
      this.#violate(`node ${node.nodeId} is granted ${name} without a lease`);
    }
    this.#fresh.length = 0;
  }

  /** Lost, expired or given up. */
  ended(node: SimNode, name: string, client: string): void {
    const lock = this.#lockOf(name);
    lock.holds = lock.holds.filter((hold) => hold.node !== node || hold.life !== node.life || hold.client !== client);
  }

  /** Membership is lost, and with it the lease. */
  beganAnew(node: SimNode): void {
    for (const lock of this.#locks.values()) lock.holds = lock.holds.filter((hold) => hold.node !== node);
  }

  #lockOf(name: string): Lock {
    let lock = this.#locks.get(name);
    if (lock === undefined) {
      lock = { holds: [], latest: undefined, fences: new Map() };
      this.#locks.set(name, lock);
    }
    return lock;
  }

  #violate(what: string): void {
    this.#watched.report("locks", what);
  }
}

function isSame(a: ReadonlyMap<number, bigint>, b: ReadonlyMap<number, bigint>): boolean {
  return a.size === b.size && [...a].every(([nodeId, incarnation]) => b.get(nodeId) === incarnation);
}

function isHeld(hold: Hold, now_ms: number): boolean {
  return hold.node.isUp && hold.node.life === hold.life && hold.node.leaseUntil_ms > now_ms;
}
