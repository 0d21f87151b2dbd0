// Turns the parts that the sender lets go into packets, and chooses their paths. Owned by the sender.
import type { Outgoing } from "./outgoing.js";
import { markAsking, PacketArena } from "./packets.js";
import type { PathBook } from "./paths.js";
import type { TransportHooks } from "./transport.js";

/** A packet that waits for the one behind it: the last one of a burst asks for an answer. */
interface Held {
  readonly packet: Uint8Array;
  readonly paths: readonly number[];
  /** Carries a duplicate, to see whether and how fast it answers. */
  readonly explored: number | undefined;
}

export class PartWriter {
  readonly #hooks: TransportHooks;
  readonly #paths: PathBook;
  readonly #arena = new PacketArena();
  readonly #held = new Map<Outgoing, Held>();

  constructor(hooks: TransportHooks, paths: PathBook) {
    this.#hooks = hooks;
    this.#paths = paths;
  }

  /** The message's next part. False: there is none before something arrives. */
  send(message: Outgoing, floor: number, now_ms: number): boolean {
    const index = message.nextPart();
    if (index === undefined) return false;
    const attempt = message.markSent(index, now_ms);
    if (attempt > 1) this.#hooks.count("transport_resent");
    const packet = this.#arena.part(message.head, floor, index, attempt, message.bytes);
    const before = this.#held.get(message);
    if (before !== undefined) this.#transmit(message.to, before, now_ms);
    this.#held.set(message, { packet, ...this.#pathsFor(message, attempt, now_ms) });
    return true;
  }

  /** The last packet of every message goes out and asks what has arrived. */
  endBurst(now_ms: number): void {
    for (const [message, held] of this.#held) {
      markAsking(held.packet);
      this.#transmit(message.to, held, now_ms);
    }
    this.#held.clear();
  }

  /**
   * First the best path, and now and then one that carries nothing; a resend takes all that are up. Bulk that is lost while other parts arrive
   * is lost by a full queue, not by its path: it is not sent twice.
   */
  #pathsFor(message: Outgoing, attempt: number, now_ms: number): Pick<Held, "paths" | "explored"> {
    const { to, timeouts, priority } = message;
    const isResend = attempt > 1 && (timeouts > 0 || priority === "token");
    if (isResend) return { paths: this.#paths.forResend(to, Math.max(1, timeouts)), explored: undefined };
    return { paths: [this.#paths.best(to)], explored: this.#paths.toExplore(to, now_ms) };
  }

  #transmit(to: number, { packet, paths, explored }: Held, now_ms: number): void {
    for (const path of paths) {
      this.#paths.sent(to, path, now_ms);
      this.#hooks.transmit(to, path, packet);
    }
    if (explored === undefined) return;
    const duplicate = packet.slice();
    markAsking(duplicate);
    this.#paths.sent(to, explored, now_ms);
    this.#hooks.transmit(to, explored, duplicate);
  }
}
