// Senders and receivers of ordered multicast on every node.
import { Multicast } from "../../../lib/raincore/multicast/multicast.js";
import type { TokenModule } from "../../../lib/raincore/types.js";
import type { Guarantee, MulticastOrder } from "../checkers/multicast.js";
import type { SimNode } from "../node.js";
import { makePayload, nameOf, type PayloadId } from "../payload.js";
import type { Load } from "../plan.js";
import type { Random } from "../random.js";
import { type Probe, probersOf, type UserGroup } from "./users.js";

/** Leaves room on the token for the other carriages. */
const CARRIAGE_BYTES_MAX = 24 * 1024;
const PROBE_BYTES = 100;

interface Client {
  readonly multicast: Multicast;
  readonly life: number;
  /** Sent and not settled: id → name. */
  readonly open: Map<number, string>;
  sent: number;
}

export class MulticastUsers implements UserGroup {
  /** Told of every delivery: of what, and where. */
  heard: ((name: string, nodeId: number) => void) | undefined;
  readonly #checker: MulticastOrder;
  readonly #clients = new Map<number, Client>();
  /** Name of a probe → nodes that have it. */
  readonly #probes = new Map<string, Set<number>>();
  readonly work = { multicast_sent: 0, multicast_delivered: 0, multicast_settled: 0, multicast_unknown: 0 };

  constructor(checker: MulticastOrder) {
    this.#checker = checker;
  }

  every_ms(load: Load): number {
    return load.multicastEvery_ms;
  }

  modulesOf(node: SimNode): readonly TokenModule[] {
    const { life, nodeId } = node;
    const open = new Map<number, string>();
    const isCurrent = () => node.life === life;
    const multicast = new Multicast({
      self: nodeId,
      bytesMax: CARRIAGE_BYTES_MAX,
      onDeliver: ({ from, view, guarantee, bytes }) => {
        if (!isCurrent()) return;
        this.work.multicast_delivered += 1;
        const name = this.#checker.deliveredTo(node, from, view, guarantee, bytes);
        if (name === undefined) return;
        this.#probes.get(name)?.add(nodeId);
        this.heard?.(name, nodeId);
      },
      onView: (view) => {
        if (isCurrent()) this.#checker.viewReported(node, view);
      },
      onSettled: (id, outcome) => {
        if (!isCurrent()) return;
        this.work.multicast_settled += 1;
        if (outcome === "unknown") this.work.multicast_unknown += 1;
        const name = open.get(id);
        open.delete(id);
        this.#checker.settled(node, name, outcome);
      },
    });
    this.#clients.set(nodeId, { multicast, life, open, sent: 0 });
    return [multicast];
  }

  operate(node: SimNode, random: Random, load: Load): void {
    const burst = random.chance(0.1) ? random.integer(2, 20) : 1;
    for (let i = 0; i < burst; i++) {
      const length = Math.floor(random.logBetween(1, load.multicastBytes_max));
      this.#send(node, length, random.chance(0.4) ? "safe" : "agreed");
    }
    node.wake();
  }

  visited(node: SimNode): void {
    this.#checker.visited(node);
  }

  beganAnew(node: SimNode): void {
    this.#checker.beganAnew(node);
  }

  /** One of each kind from every node reaches all, and nothing is left on its way. */
  probe(core: readonly SimNode[]): Probe {
    this.#probes.clear();
    for (const node of probersOf(core)) {
      for (const guarantee of ["agreed", "safe"] as const) {
        const name = this.#send(node, PROBE_BYTES, guarantee);
        if (name !== undefined) this.#probes.set(name, new Set());
      }
      node.wake();
    }
    const missing = () => [...this.#probes].filter(([, reached]) => core.some((node) => !reached.has(node.nodeId)));
    const unsettled = () => core.filter((node) => (this.#clients.get(node.nodeId)?.open.size ?? 0) > 0);
    return {
      isDone: () => missing().length === 0 && unsettled().length === 0,
      describe: () =>
        `multicast messages ${missing()
          .map(([name, reached]) => `${name} reached ${[...reached].join(",") || "nobody"}`)
          .join("; ")}` +
        `; unsettled at nodes ${
          unsettled()
            .map((node) => node.nodeId)
            .join(",") || "none"
        }`,
    };
  }

  /** One message to everybody, as soon as can be; its name. */
  say(node: SimNode): string | undefined {
    const name = this.#send(node, PROBE_BYTES, "agreed");
    node.wake();
    return name;
  }

  #send(node: SimNode, length: number, guarantee: Guarantee): string | undefined {
    const client = this.#clients.get(node.nodeId);
    if (client === undefined) return undefined;
    const payload: PayloadId = { nodeId: node.nodeId, life: node.life, number: client.sent };
    const name = nameOf(payload);
    // Told before it is sent: a node alone delivers to itself at once.
    const id = client.multicast.send(makePayload(payload, length), guarantee);
    if (id === undefined) return undefined;
    client.sent += 1;
    client.open.set(id, name);
    this.#checker.sent(name, guarantee);
    this.work.multicast_sent += 1;
    return name;
  }
}
