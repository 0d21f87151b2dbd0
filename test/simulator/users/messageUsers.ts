// Senders of reliable messages from node to node.
import type { Effect } from "../../../lib/raincore/types.js";
import type { MessageDelivery } from "../checkers/messages.js";
import type { SimNode } from "../node.js";
import { makePayload, nameOf } from "../payload.js";
import type { Load } from "../plan.js";
import type { Random } from "../random.js";
import { type Probe, probersOf, type UserGroup, type UserHost } from "./users.js";

const PROBE_BYTES = 3000;

export class MessageUsers implements UserGroup {
  readonly #host: UserHost;
  readonly #checker: MessageDelivery;
  #sent = 0;
  readonly work = { messages_sent: 0, messages_delivered: 0, messages_failed: 0 };

  constructor(host: UserHost, checker: MessageDelivery) {
    this.#host = host;
    this.#checker = checker;
  }

  every_ms(load: Load): number {
    return load.messageEvery_ms;
  }

  operate(node: SimNode, random: Random, load: Load): void {
    const others = this.#host.nodes.filter((other) => other !== node);
    if (others.length > 0)
      this.#send(node, random.pick(others), Math.floor(random.logBetween(1, load.messageBytes_max)));
  }

  effect(node: SimNode, effect: Effect): void {
    if (effect.type === "message") {
      this.work.messages_delivered += 1;
      this.#checker.arrived(node, effect.from, effect.bytes);
    } else if (effect.type === "settled") {
      if (!effect.delivered) this.work.messages_failed += 1;
      this.#checker.settled(node, effect.bytes, effect.delivered);
    }
  }

  /** The path lives: each node of the core reaches each other one, exactly once; and everything sent before is settled. */
  probe(core: readonly SimNode[]): Probe {
    const probers = probersOf(core);
    const names = core.flatMap((from) =>
      probers.filter((to) => to !== from).map((to) => this.#send(from, to, PROBE_BYTES)),
    );
    const missing = () => names.filter((name) => !this.#checker.hasArrived(name));
    const unsettled = () => this.#checker.unsettled(core);
    return {
      isDone: () => this.#checker.isQuiet(core) && missing().length === 0,
      describe: () =>
        `${missing().length} of ${names.length} messages have not arrived, ${unsettled()} are not settled`,
    };
  }

  #send(from: SimNode, to: SimNode, length: number): string {
    const payload = { nodeId: from.nodeId, life: from.life, number: this.#sent++ };
    const name = nameOf(payload);
    this.work.messages_sent += 1;
    this.#checker.sent(from, name, to.nodeId);
    from.send(to.nodeId, makePayload(payload, length));
    return name;
  }
}
