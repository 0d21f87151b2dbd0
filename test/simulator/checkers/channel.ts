// The secure channel: a life of a node opens a datagram once at most, and none that was sealed before that life began, however often
// it comes: nobody who recorded it may have it do anything again.
import type { Datagram } from "../network.js";
import type { SimNode } from "../node.js";
import type { Watched } from "./checker.js";

interface Life {
  readonly life: number;
  readonly began_ms: number;
  /** The bytes that were opened, by identity: the network never copies what it does not damage. */
  readonly opened: WeakSet<Uint8Array>;
}

export class ChannelUse {
  readonly #watched: Watched;
  readonly #lives = new Map<SimNode, Life>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  began(node: SimNode): void {
    this.#lives.set(node, { life: node.life, began_ms: this.#watched.now_ms(), opened: new WeakSet() });
  }

  opened(node: SimNode, { from, bytes, sent_ms }: Datagram): void {
    const life = this.#lives.get(node);
    if (life === undefined) return;
    if (life.opened.has(bytes))
      this.#watched.report("channel", `node ${node.nodeId} opened a datagram of ${from} twice`);
    if (sent_ms < life.began_ms)
      this.#watched.report("channel", `node ${node.nodeId} opened a datagram of ${from} from before its life`);
    life.opened.add(bytes);
  }
}
