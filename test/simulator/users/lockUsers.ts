// Clients of the locks: they ask, hold for a while, give back, give up, and have time limits.
import { type LockEvent, Locks } from "../../../lib/raincore/locks/locks.js";
import type { TokenModule } from "../../../lib/raincore/types.js";
import type { LockHolders } from "../checkers/locks.js";
import type { SimNode } from "../node.js";
import type { Load } from "../plan.js";
import type { Random } from "../random.js";
import { type Probe, probersOf, type UserGroup, type UserHost } from "./users.js";

const NAMES: readonly string[] = ["alpha", "beta", "gamma"];
const PROBE_NAME = "probe";
const REQUESTS_MAX = 4;

interface Client {
  readonly locks: Locks;
  readonly life: number;
  /** Requests that are not over. */
  readonly open: Map<number, string>;
}

export class LockUsers implements UserGroup {
  readonly #host: UserHost;
  readonly #checker: LockHolders;
  readonly #random: Random;
  readonly #clients = new Map<number, Client>();
  readonly #probed = new Set<number>();
  readonly work = { locks_asked: 0, locks_granted: 0, locks_lost: 0 };

  constructor(host: UserHost, checker: LockHolders, random: Random) {
    this.#host = host;
    this.#checker = checker;
    this.#random = random;
  }

  every_ms(load: Load): number {
    return load.lockEvery_ms;
  }

  modulesOf(node: SimNode): readonly TokenModule[] {
    const { life } = node;
    const locks = new Locks({ self: node.nodeId, onEvent: (event) => this.#onEvent(node, life, event) });
    this.#clients.set(node.nodeId, { locks, life, open: new Map() });
    return [locks];
  }

  operate(node: SimNode, random: Random): void {
    const client = this.#clients.get(node.nodeId);
    if (client === undefined || client.open.size >= REQUESTS_MAX) return;
    const u = this.#host.unit_ms;
    const wait_ms = random.chance(0.3) ? random.between(0, 60) * u : undefined;
    const ttl_ms = random.chance(0.2) ? random.between(1, 40) * u : undefined;
    this.#acquire(node, client, random.pick(NAMES), {
      ...(wait_ms === undefined ? {} : { wait_ms }),
      ...(ttl_ms === undefined ? {} : { ttl_ms }),
    });
  }

  /** Every node of the core gets a lock once, after those who had it when the faults ended. */
  probe(core: readonly SimNode[], isQuorate: boolean): Probe {
    this.#probed.clear();
    if (!isQuorate) return { isDone: () => true, describe: () => "" };
    const probers = probersOf(core);
    for (const node of probers) {
      const client = this.#clients.get(node.nodeId);
      if (client !== undefined) this.#acquire(node, client, PROBE_NAME, {});
    }
    const missing = () => probers.filter((node) => !this.#probed.has(node.nodeId)).map((node) => node.nodeId);
    return {
      isDone: () => missing().length === 0,
      describe: () => `nodes ${missing().join(",")} do not get a lock`,
    };
  }

  #acquire(node: SimNode, client: Client, name: string, limits: { wait_ms?: number; ttl_ms?: number }): void {
    this.work.locks_asked += 1;
    const id = client.locks.acquire(node.nowOwn_ms, name, { client: `c${node.nodeId}`, ...limits });
    client.open.set(id, name);
    node.wake();
  }

  #onEvent(node: SimNode, life: number, event: LockEvent): void {
    const client = this.#clients.get(node.nodeId);
    if (client?.life !== life || node.life !== life) return;
    if (event.type === "granted") {
      this.work.locks_granted += 1;
      this.#checker.granted(node, event.name, String(event.id), event.fence);
      if (event.name === PROBE_NAME) this.#probed.add(node.nodeId);
      this.#giveBackLater(node, client, event.id, event.name);
      return;
    }
    if (event.type === "lost") this.work.locks_lost += 1;
    this.#checker.ended(node, event.name, String(event.id));
    client.open.delete(event.id);
  }

  #giveBackLater(node: SimNode, client: Client, id: number, lock: string): void {
    const hold_ms = this.#random.logBetween(0.05, lock === PROBE_NAME ? 0.1 : 30) * this.#host.unit_ms;
    this.#host.after(hold_ms, () => {
      const isThere = node.isUp && !node.isPaused && node.life === client.life;
      if (!isThere || !client.open.has(id)) {
        // A stopped client gives back when it wakes.
        if (node.isUp && node.life === client.life && client.open.has(id)) this.#giveBackLater(node, client, id, lock);
        return;
      }
      const name = client.open.get(id) ?? "";
      client.locks.release(id);
      this.#checker.ended(node, name, String(id));
      client.open.delete(id);
      node.wake();
    });
  }
}
