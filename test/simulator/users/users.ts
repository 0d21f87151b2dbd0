// The users of the services on every simulated node: they send, lock and change things at random times, and tell the
// checkers what they see. Owned by world.ts; one file per service.
import type { Effect, TokenContext, TokenModule } from "../../../lib/raincore/types.js";
import type { SimNode } from "../node.js";
import { type Load, NO_LOAD } from "../plan.js";
import type { Random } from "../random.js";

/** What a group of users needs of the world. */
export interface UserHost {
  readonly nodes: readonly SimNode[];
  readonly now_ms: number;
  readonly unit_ms: number;
  after(delay_ms: number, act: () => void): void;
  runUntil(condition: () => boolean, limit_ms: number): number | undefined;
}

/** Proves at the end that a service serves. */
export interface Probe {
  readonly isDone: () => boolean;
  /** What is missing, when it is not. */
  readonly describe: () => string;
}

/** The users of one service. */
export interface UserGroup {
  /** The service for a new life of a node. */
  modulesOf?(node: SimNode): readonly TokenModule[];
  /** Mean time between two operations; 0 = none. */
  every_ms(load: Load): number;
  /** One operation at a node that runs. */
  operate(node: SimNode, random: Random, load: Load): void;
  effect?(node: SimNode, effect: Effect): void;
  /** The service's visit is about to begin. */
  visited?(node: SimNode): void;
  /** A new life, or the membership is lost. */
  beganAnew?(node: SimNode): void;
  probe(core: readonly SimNode[], isQuorate: boolean): Probe;
  readonly work: Readonly<Record<string, number>>;
}

/** A probe takes at most so many units, and some more per node: a lock goes from one to the next. */
const PROBE_U = 200;
const PROBE_PER_NODE_U = 12;

/** In a large core some nodes stand for all: what they use goes through every node anyway. */
const PROBERS_MAX = 12;

/** Evenly spaced over the core. */
export function probersOf(core: readonly SimNode[]): readonly SimNode[] {
  if (core.length <= PROBERS_MAX) return core;
  return core.filter(
    (_, index) =>
      Math.floor((index * PROBERS_MAX) / core.length) !== Math.floor(((index - 1) * PROBERS_MAX) / core.length),
  );
}

export class Users {
  readonly #host: UserHost;
  readonly #random: Random;
  readonly #groups: readonly UserGroup[];
  #absences = 0;

  constructor(host: UserHost, random: Random, groups: readonly UserGroup[]) {
    this.#host = host;
    this.#random = random;
    this.#groups = groups;
  }

  get work(): Record<string, number> {
    return Object.assign({ absences: this.#absences }, ...this.#groups.map((group) => group.work));
  }

  /** A node was let go. */
  countAbsence(): void {
    this.#absences += 1;
  }

  modulesOf(node: SimNode): TokenModule[] {
    for (const group of this.#groups) group.beganAnew?.(node);
    return [new Watcher(node, this.#groups), ...this.#groups.flatMap((group) => group.modulesOf?.(node) ?? [])];
  }

  effect(node: SimNode, effect: Effect): void {
    for (const group of this.#groups) group.effect?.(node, effect);
  }

  /** Everybody works until then. */
  begin(load: Load, until_ms: number): void {
    if (load === NO_LOAD) return;
    for (const group of this.#groups) {
      const every_ms = group.every_ms(load);
      if (every_ms > 0) this.#planNext(group, every_ms, load, until_ms);
    }
  }

  /** With the core whole: every service must serve. What is wrong, if anything. */
  probe(core: readonly SimNode[], isQuorate: boolean): string | undefined {
    const probes = this.#groups.map((group) => group.probe(core, isQuorate));
    // What was done stays done; each probe looks at every node.
    const open = new Set(probes);
    const isDone = () => {
      for (const probe of open) {
        if (!probe.isDone()) return false;
        open.delete(probe);
      }
      return true;
    };
    const limit_ms = (PROBE_U + PROBE_PER_NODE_U * core.length) * this.#host.unit_ms;
    if (isDone() || this.#host.runUntil(isDone, limit_ms) !== undefined) return undefined;
    const missing = probes.filter((probe) => !probe.isDone());
    return `users are not served: ${missing.map((probe) => probe.describe()).join("; ")}`;
  }

  #planNext(group: UserGroup, every_ms: number, load: Load, until_ms: number): void {
    const delay_ms = this.#random.between(0, 2 * every_ms);
    if (this.#host.now_ms + delay_ms >= until_ms) return;
    this.#host.after(delay_ms, () => {
      const node = this.#random.pick(this.#host.nodes);
      if (node.isUp && !node.isPaused) group.operate(node, this.#random, load);
      this.#planNext(group, every_ms, load, until_ms);
    });
  }
}

/** Has no carriage: only notices the token's visits and the loss of membership, before the services do. */
class Watcher implements TokenModule {
  readonly carriage = "simulator.watch";
  readonly format = 0;
  readonly bytesMax = 0;
  /** A visit that changes nothing need not be noticed: the token goes its short way. */
  readonly isIdle = true;
  readonly #node: SimNode;
  readonly #groups: readonly UserGroup[];

  constructor(node: SimNode, groups: readonly UserGroup[]) {
    this.#node = node;
    this.#groups = groups.filter((group) => group.visited !== undefined || group.beganAnew !== undefined);
  }

  onToken(ctx: TokenContext, _bytes: Uint8Array | undefined): undefined {
    this.#node.visiting = ctx.view;
    for (const group of this.#groups) group.visited?.(this.#node);
    return undefined;
  }

  onLost(): void {
    for (const group of this.#groups) group.beganAnew?.(this.#node);
  }
}
