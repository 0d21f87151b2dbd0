// The ring's datagrams: sealed on the way out, opened on the way in; with the clock and the timer that belong to the sockets. What does not
// open is counted by cause and ignored. Used by session.ts.
import { randomFillSync } from "node:crypto";
import { RainfrontError } from "../errors.js";
import { type OpenResult, SecureChannel, sealedBytes } from "../raincore/secureChannel.js";
import { chooseAead } from "./aead.js";
import {
  ARRIVAL_LENGTH,
  ARRIVAL_OFFSET,
  ARRIVAL_PATH,
  ARRIVAL_PEER,
  ARRIVAL_WORDS,
  type DatagramPort,
} from "./datagramPort.js";
import { openDatagramPort } from "./datagramPortOpen.js";
import { Lifelines } from "./lifelines.js";
import { packetBytesMax } from "./mtu.js";
import { PortProbe } from "./portProbe.js";
import type { SessionConfig } from "./protocol.js";

export interface NetworkListener {
  /** A datagram that opened; `bytes` are overwritten after the call. */
  onDatagram(from: number, path: number, bytes: Uint8Array): void;
  /** No process has that node's port, on this path. */
  onPortClosed(nodeId: number, path: number): void;
  /** That node's process may have ended. */
  onLifelineCut(nodeId: number): void;
  /** The others will not hear at once when this process ends. */
  onLifelinesFailed(address: string, reason: string): void;
  /** The time that was set has come. */
  onTimer(): void;
  /** At the end of every wake-up. */
  onDone(): void;
}

interface Suspicion {
  readonly count: number;
  readonly first_ms: number;
  readonly last_ms: number;
}

// A node with another key goes on sending. Whoever forges its address has to go on as well, and to be there while this node starts.
const SUSPICIONS = 3;
const SUSPICION_MS = 500;

export class Network {
  /** The largest message that fits into one packet. */
  readonly packetBytes_max: number;
  readonly #port: DatagramPort;
  readonly #channel: SecureChannel;
  readonly #paths: number;
  readonly #peerIds: readonly number[];
  readonly #indexOf: ReadonlyMap<number, number>;
  readonly #counters: Record<string, number> = {};
  readonly #probe: PortProbe;
  readonly #lifelines: Lifelines;
  #listener: NetworkListener | undefined;
  /** Nodes that have shown that they have the key. They are never suspected: anybody can forge a datagram of theirs. */
  readonly #authenticated = new Set<number>();
  readonly #suspects = new Map<number, Suspicion>();
  #closed = false;

  /** Binds the sockets. Throws `RF_RING_PORT` when an address or the port cannot be had, `RF_ARGUMENT` for keys that do not go together. */
  static async open(config: SessionConfig, incarnation: bigint): Promise<Network> {
    const { addresses, port } = config;
    // The index of a node's address on a path: nodes in their order, each with all of its paths.
    const peers = config.peers.flatMap((peer) => peer.addresses.map((address, path) => ({ path, address })));
    const opened = await openDatagramPort({ addresses, port, peers }).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RainfrontError(
        "RF_RING_PORT",
        `cannot receive the ring's datagrams on ${addresses.join(", ")}, port ${port}: ${reason}`,
        { fix: "stop what uses the port, or set another one on all nodes", cause },
      );
    });
    try {
      return new Network(config, incarnation, opened);
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  private constructor(config: SessionConfig, incarnation: bigint, port: DatagramPort) {
    this.#port = port;
    this.#paths = config.addresses.length;
    this.#peerIds = config.peers.map((peer) => peer.nodeId);
    this.#indexOf = new Map(this.#peerIds.map((nodeId, index) => [nodeId, index]));
    this.packetBytes_max = packetBytesMax(config.addresses);
    const addresses = new Map(config.peers.map((peer) => [peer.nodeId, peer.addresses]));
    this.#probe = new PortProbe({
      addresses: config.addresses,
      port: config.port,
      addressOf: (nodeId, path) => addresses.get(nodeId)?.[path],
      onRefused: (nodeId, path) => this.#tell((listener) => listener.onPortClosed(nodeId, path)),
    });
    this.#lifelines = new Lifelines({
      nodeId: config.nodeId,
      addresses: config.addresses,
      port: config.port,
      peers: config.peers,
      onCut: (nodeId) => this.#tell((listener) => listener.onLifelineCut(nodeId)),
      onListenFailed: (address, reason) => this.#tell((listener) => listener.onLifelinesFailed(address, reason)),
      count: (name) => this.#count(name),
    });
    this.#channel = withKeys(
      () =>
        new SecureChannel({
          aead: chooseAead(),
          random: (out) => randomFillSync(out),
          clusterKeys: config.clusterKeys,
          cluster: config.cluster,
          nodeId: config.nodeId,
          incarnation,
          peers: this.#peerIds,
        }),
    );
  }

  listen(listener: NetworkListener): void {
    this.#listener = listener;
    this.#port.listen((count, timerDue) => {
      for (let index = 0; index < count && !this.#closed; index++) this.#arrive(index * ARRIVAL_WORDS, listener);
      if (timerDue && !this.#closed) listener.onTimer();
      if (!this.#closed) listener.onDone();
    });
    // So that both ends have proved themselves before the first message that matters.
    for (const nodeId of this.#peerIds) {
      const hello = this.#channel.hello(this.now_ms(), nodeId);
      for (let path = 0; hello !== undefined && path < this.#paths; path++) this.#queue(nodeId, path, hello);
    }
    this.#port.flush();
    this.#lifelines.listen();
  }

  /** Queues a message; `flush` sends it. */
  send(to: number, path: number, bytes: Uint8Array): void {
    const index = this.#indexOf.get(to);
    if (index === undefined) return;
    const at = this.#port.reserve(sealedBytes(bytes.length));
    this.#port.send(index * this.#paths + path, at, this.#channel.sealInto(to, bytes, this.#port.outgoing, at));
  }

  flush(): void {
    this.#port.flush();
  }

  /** Asks whether a process has that node's port; `onPortClosed` tells if none has. */
  probe(nodeId: number, path: number): void {
    this.#probe.ask(nodeId, path);
  }

  /** Members hear of the end of each other's processes at once. */
  setMembers(nodeIds: readonly number[]): void {
    this.#lifelines.setMembers(nodeIds);
  }

  /** The clock of the ring, of leases and of the data plane. */
  now_ms(): number {
    return this.#port.now_ms();
  }

  setTimer(at_ms: number): void {
    this.#port.setTimer(at_ms);
  }

  setKeys(keys: readonly Uint8Array[]): void {
    withKeys(() => this.#channel.setKeys(keys));
  }

  /** Nodes whose datagrams do not open, again and again, though none of theirs ever did. */
  get suspectedKeyMismatch(): readonly number[] {
    return [...this.#suspects]
      .filter(([, { count, first_ms, last_ms }]) => count >= SUSPICIONS && last_ms - first_ms >= SUSPICION_MS)
      .map(([nodeId]) => nodeId);
  }

  counters(): Record<string, number> {
    return { ...this.#port.counters(), ...this.#counters };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#probe.close();
    this.#lifelines.close();
    this.#port.close();
    this.#channel.destroy();
  }

  #tell(what: (listener: NetworkListener) => void): void {
    if (this.#closed || this.#listener === undefined) return;
    what(this.#listener);
    this.#listener.onDone();
  }

  #arrive(at: number, listener: NetworkListener): void {
    const { arrivals, incoming } = this.#port;
    const path = arrivals[at + ARRIVAL_PATH] ?? 0;
    const peerIndex = arrivals[at + ARRIVAL_PEER] ?? -1;
    // Not of any node: not worth the cipher's time.
    if (peerIndex < 0) {
      this.#count("refused_unknown_address");
      return;
    }
    const opened = this.#channel.open(
      this.now_ms(),
      incoming,
      arrivals[at + ARRIVAL_OFFSET] ?? 0,
      arrivals[at + ARRIVAL_LENGTH] ?? 0,
    );
    if (!opened.ok) {
      this.#onRefused(opened, peerIndex);
      return;
    }
    if (!this.#authenticated.has(opened.from)) {
      this.#authenticated.add(opened.from);
      this.#suspects.delete(opened.from);
    }
    listener.onDatagram(opened.from, path, opened.plain);
  }

  #onRefused(refused: Extract<OpenResult, { ok: false }>, peerIndex: number): void {
    const { cause, from, reply } = refused;
    this.#count(cause === "handshake" ? "handshakes" : `refused_${cause}`);
    if (reply !== undefined) {
      for (let way = 0; way < this.#paths; way++) this.#queue(from, way, reply);
      this.#port.flush();
    }
    const sender = this.#peerIds[Math.floor(peerIndex / this.#paths)];
    if (sender === undefined || (cause !== "unknown_key" && cause !== "forged")) return;
    if (!this.#authenticated.has(sender)) this.#suspect(sender);
  }

  #suspect(nodeId: number): void {
    const now_ms = this.now_ms();
    const { count, first_ms } = this.#suspects.get(nodeId) ?? { count: 0, first_ms: now_ms };
    this.#suspects.set(nodeId, { count: count + 1, first_ms, last_ms: now_ms });
  }

  #queue(to: number, path: number, datagram: Uint8Array): void {
    const index = this.#indexOf.get(to);
    if (index === undefined) return;
    const at = this.#port.reserve(datagram.length);
    this.#port.outgoing.set(datagram, at);
    this.#port.send(index * this.#paths + path, at, datagram.length);
  }

  #count(name: string): void {
    this.#counters[name] = (this.#counters[name] ?? 0) + 1;
  }
}

/** The channel speaks of what is wrong with its keys, as every option's check does. */
function withKeys<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RainfrontError("RF_ARGUMENT", `clusterKey is not usable: ${error.message}`, { fix: "give other keys" });
  }
}
