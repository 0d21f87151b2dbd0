// Connections that outlive their gateway: what the firewall here knows of its flows goes to the nodes that would take them over, and what others have told
// becomes the firewall's here when their flows become this node's. The work is the addon's (native/conntrack); this carries its records between the nodes. Used by daemon.ts.

import type { Logger } from "pino";
import { CONNECTIONS_KIND } from "../messageKinds.js";
import type {
  ConntrackDelivery,
  ConntrackPurpose,
  ConntrackShare,
  FlowTuple,
  NativeAddon,
  PortRanges,
} from "../native.js";
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
/** Of a node that does not take them so many wait; what is beyond that is told when all is told again. */
const UNDELIVERED_MAX = 16;
/** Another kind of message for what each is told for. */
const KIND_OF: Readonly<Record<ConntrackPurpose, number>> = CONNECTIONS_KIND;
const NOBODY = new Uint16Array(0);
const NO_KEY = new Uint8Array(FLOW_HASH_KEY_BYTES);

export interface ConnectionKeeperConfig {
  readonly self: number;
  readonly native: Pick<NativeAddon, "ConntrackShare">;
  /** The handle of the node's FlowExchange, where flows are assigned. */
  readonly flows: number | undefined;
  /** Reliable; rejects when it was not delivered. */
  readonly send: (node: number, bytes: Uint8Array) => Promise<void>;
  readonly log: Logger;
}

/** How flows are shared now. */
export interface Sharing {
  readonly members: readonly number[];
  readonly ready: readonly number[];
  /** Away by agreement: whoever is back has forgotten what it was told. */
  readonly absent: readonly number[];
  /** The authority of each slot; empty: nobody handles any. */
  readonly slots: Uint16Array;
  readonly portRanges?: PortRanges | undefined;
  /** Nor without a key. */
  readonly hashKey: Uint8Array | undefined;
}

export class ConnectionKeeper {
  readonly #config: ConnectionKeeperConfig;
  readonly #share: ConntrackShare;
  #key = "";
  #telling: NodeJS.Timeout | undefined;
  #isGathering = false;
  #isClosed = false;
  /** On their way, by node. */
  readonly #sending = new Map<number, number>();
  #undelivered = 0;

  /** Throws `RF_NO_PRIVILEGE`, `RF_CONNTRACK`. */
  constructor(config: ConnectionKeeperConfig) {
    this.#config = config;
    const { flows } = config;
    const options = {
      waiting_max: WAITING_MAX,
      replicas_max: REPLICAS_MAX,
      ...(flows !== undefined && { flows }),
    };
    this.#share = new config.native.ConntrackShare(options, () => this.#gather());
  }

  /** Flows are shared like this from now on. */
  become({ members, ready, absent, slots, portRanges, hashKey }: Sharing): void {
    const { self, flows } = this.#config;
    // Who is a member says who may handle flows that are assigned; the hash goes by those that are ready.
    const handling = flows === undefined ? [] : members;
    const portOwners = portRanges?.owners ?? [];
    const key = [handling, ready, absent, portOwners, Buffer.from(hashKey ?? []).toString("hex")].map(String).join("/");
    if (key === this.#key || this.#isClosed) return;
    this.#key = key;
    const handlers = hashKey === undefined ? NOBODY : slots;
    const ranges = portRanges && { portRanges };
    const tables = { self, members, slots: handlers, ...ranges, hashKey: Buffer.from(hashKey ?? NO_KEY) };
    this.#share.become(tables, NOBODY);
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => {
      const others = ready.filter((node) => node !== self);
      this.#share.become(tables, others.length === 0 ? NOBODY : buildMaglev(others));
    }, TELL_AFTER_MS).unref();
  }

  /** Whether others are to take this node's connections. */
  drain(isDraining: boolean): void {
    if (!this.#isClosed) this.#share.drain(isDraining);
  }

  /** Others have taken all that this node had when it was last looked at, and nothing is on its way to them. */
  get isDrained(): boolean {
    const { moves_looked, unmoved, waiting } = this.#share.figures();
    const isLooked = this.#config.flows === undefined || moves_looked > 0;
    return isLooked && unmoved === 0 && waiting === 0 && [...this.#sending.values()].every((count) => count === 0);
  }

  /** What another node sent. */
  receive(from: number, bytes: Uint8Array): void {
    const purpose = purposeOf(bytes[0]);
    if (purpose === undefined) {
      this.#config.log.warn({ from, kind: bytes[0] }, "a message of a kind that this version does not know");
      return;
    }
    if (!this.#isClosed) this.#share.receive(from, purpose, bytes.subarray(1));
  }

  /** What is kept of another node's connection, by its first packets' flow. */
  replica(flow: FlowTuple): ReturnType<ConntrackShare["replica"]> {
    return this.#isClosed ? undefined : this.#share.replica(flow);
  }

  get figures(): Readonly<Record<string, number>> {
    return { ...this.#share.figures(), undelivered: this.#undelivered };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#telling);
    this.#share.close();
  }

  #gather(): void {
    if (this.#isGathering || this.#isClosed) return;
    this.#isGathering = true;
    setTimeout(() => this.#deliver(), GATHER_MS).unref();
  }

  /** Until nothing waits. A node that takes its deliveries slowly holds up nobody else's. */
  #deliver(): void {
    this.#isGathering = false;
    const deliveries = this.#isClosed ? [] : this.#share.take(DELIVERY_BYTES_MAX);
    for (const delivery of deliveries) void this.#send(delivery);
    if (deliveries.length > 0) this.#gather();
  }

  /** What is lost on the way is told again, with all the rest, within a minute. */
  async #send({ node, purpose, records }: ConntrackDelivery): Promise<void> {
    const sending = this.#sending.get(node) ?? 0;
    if (sending >= UNDELIVERED_MAX) {
      this.#undelivered += 1;
      return;
    }
    this.#sending.set(node, sending + 1);
    try {
      await this.#config.send(node, Buffer.concat([Buffer.of(KIND_OF[purpose]), records]));
    } catch {
      this.#undelivered += 1;
    } finally {
      this.#sending.set(node, (this.#sending.get(node) ?? 1) - 1);
    }
  }
}

function purposeOf(kind: number | undefined): ConntrackPurpose | undefined {
  const purposes: readonly ConntrackPurpose[] = ["copy", "move", "taken"];
  return purposes.find((purpose) => KIND_OF[purpose] === kind);
}
