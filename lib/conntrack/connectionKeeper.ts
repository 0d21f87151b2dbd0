// Connections that outlive their gateway: what the firewall here knows of its flows goes to the nodes that would take them over, and what others have told
// becomes the firewall's here when their flows become this node's. The work is the addon's (native/conntrack); this carries its records between the nodes. Used by daemon.ts.

import type { Logger } from "pino";
import type { ConntrackShare, NativeAddon } from "../native.js";
import { buildMaglev } from "../steering/maglev.js";
import { FLOW_HASH_KEY_BYTES } from "../steering/sharedSecret.js";

/** Of a node that tells so many changes may wait: what is beyond that is told when all is told again. */
const WAITING_MAX = 262_144;
/** Entries of others that a node keeps: some 200 bytes each. */
const REPLICAS_MAX = 1_048_576;
/** Changes are gathered for so long: a connection that ends meanwhile is told of once. */
const GATHER_MS = 20;
/**
 * What has become this node's is the firewall's at once. Who would take it over from this node is worked out, and told, when the takeover is done: that takes CPU time,
 * which this thread has before the packets'.
 */
const TELL_AFTER_MS = 200;
/** To each node, before it is waited for. */
const DELIVERY_BYTES_MAX = 65_536;
/** The first byte of what nodes send each other: records follow it. */
const RECORDS = 1;
const NOBODY = new Uint16Array(0);
const NO_KEY = new Uint8Array(FLOW_HASH_KEY_BYTES);

export interface ConnectionKeeperConfig {
  readonly self: number;
  readonly native: Pick<NativeAddon, "ConntrackShare">;
  /** Reliable; rejects when it was not delivered. */
  readonly send: (node: number, bytes: Uint8Array) => Promise<void>;
  readonly log: Logger;
}

/** How flows are shared now. */
export interface Sharing {
  readonly members: readonly number[];
  readonly ready: readonly number[];
  /** The handler of each slot; empty: nobody handles any. */
  readonly slots: Uint16Array;
  /** Nor without a key. */
  readonly hashKey: Uint8Array | undefined;
}

export class ConnectionKeeper {
  readonly #config: ConnectionKeeperConfig;
  readonly #share: ConntrackShare;
  #key = "";
  #telling: NodeJS.Timeout | undefined;
  #isDelivering = false;
  #isClosed = false;
  #undelivered = 0;

  /** Throws `RF_NO_PRIVILEGE`, `RF_CONNTRACK`. */
  constructor(config: ConnectionKeeperConfig) {
    this.#config = config;
    const limits = { waiting_max: WAITING_MAX, replicas_max: REPLICAS_MAX };
    this.#share = new config.native.ConntrackShare(limits, () => void this.#deliver());
  }

  /** Flows are shared like this from now on. */
  become({ members, ready, slots, hashKey }: Sharing): void {
    const { self } = this.#config;
    const key = `${ready.join()}/${Buffer.from(hashKey ?? []).toString("hex")}`;
    if (key === this.#key || this.#isClosed) return;
    this.#key = key;
    const handlers = hashKey === undefined ? NOBODY : slots;
    const tables = { self, members, slots: handlers, hashKey: Buffer.from(hashKey ?? NO_KEY) };
    this.#share.become(tables, NOBODY);
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => {
      const others = ready.filter((node) => node !== self);
      this.#share.become(tables, others.length === 0 ? NOBODY : buildMaglev(others));
    }, TELL_AFTER_MS).unref();
  }

  /** What another node sent. */
  receive(from: number, bytes: Uint8Array): void {
    if (bytes[0] !== RECORDS) {
      this.#config.log.warn({ from, kind: bytes[0] }, "a message of a kind that this version does not know");
      return;
    }
    if (!this.#isClosed) this.#share.receive(bytes.subarray(1));
  }

  get figures(): Readonly<Record<string, number>> {
    return { ...this.#share.figures(), undelivered: this.#undelivered };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#telling);
    this.#share.close();
  }

  /** Until nothing waits. What is lost on the way is told again, with all the rest, within a minute. */
  async #deliver(): Promise<void> {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, GATHER_MS).unref());
      const deliveries = this.#isClosed ? [] : this.#share.take(DELIVERY_BYTES_MAX);
      if (deliveries.length === 0) break;
      await Promise.all(deliveries.map(({ node, records }) => this.#send(node, records)));
    }
    this.#isDelivering = false;
  }

  async #send(node: number, records: Uint8Array): Promise<void> {
    try {
      await this.#config.send(node, Buffer.concat([Buffer.of(RECORDS), records]));
    } catch {
      this.#undelivered += 1;
    }
  }
}
