// The ring's datagrams: one UDP socket per ring segment on this node's primary address; sealed on the way out, opened on the
// way in. What does not open is counted and ignored. Used by ringDriver.ts.

import { createSocket, type Socket } from "node:dgram";
import type { Config } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import { SecureChannel } from "../raincore/secureChannel.js";

/** A datagram that opened: who sent it, over which path, and the message. */
export type OnMessage = (from: number, path: number, bytes: Uint8Array) => void;

export class RingNetwork {
  readonly #config: Config;
  readonly #channel: SecureChannel;
  readonly #sockets: Socket[] = [];
  readonly #counters: Record<string, number> = {};
  readonly #nodeByAddress = new Map<string, number>();
  readonly #suspects = new Set<number>();
  /** Nodes that have shown that they have the key. They are never suspected: anybody can forge a datagram of theirs. */
  readonly #authenticated = new Set<number>();

  constructor(config: Config, incarnation: bigint) {
    this.#config = config;
    this.#channel = new SecureChannel({
      clusterKey: config.clusterKey,
      cluster: config.cluster,
      nodeId: config.node.id,
      incarnation,
    });
    for (const node of config.nodes) {
      for (const segment of config.ring.segments) this.#nodeByAddress.set(node.addresses[segment], node.id);
    }
  }

  /** Binds the sockets. Throws `RF_RING_PORT` when an address or the port cannot be had. */
  async open(onMessage: OnMessage): Promise<void> {
    for (const [path, segment] of this.#config.ring.segments.entries()) {
      const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20, lookup: addressItself });
      this.#sockets.push(socket);
      socket.on("message", (datagram, { address }) => this.#receive(datagram, address, path, onMessage));
      await bind(socket, this.#config.node.addresses[segment], this.#config.ring.port);
      socket.on("error", () => this.#count("socket_error"));
    }
  }

  send(to: number, path: number, bytes: Uint8Array): void {
    const segment = this.#config.ring.segments[path];
    const node = this.#config.nodes.find(({ id }) => id === to);
    const socket = this.#sockets[path];
    if (segment === undefined || node === undefined || socket === undefined) return;
    const datagram = this.#channel.seal(to, bytes);
    this.#count("datagrams_out");
    socket.send(datagram, this.#config.ring.port, node.addresses[segment], (error) => {
      if (error !== null) this.#count("send_failed");
    });
  }

  /** Datagrams that came from a configured node's address and did not open, though none of that node ever did. */
  get suspectedKeyMismatch(): readonly number[] {
    return [...this.#suspects];
  }

  counters(): Record<string, number> {
    return { ...this.#counters };
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
    this.#sockets.length = 0;
  }

  #receive(datagram: Buffer, address: string, path: number, onMessage: OnMessage): void {
    this.#count("datagrams_in");
    const opened = this.#channel.open(datagram);
    const sender = this.#nodeByAddress.get(address);
    if (!opened.ok) {
      this.#count(`refused_${opened.cause}`);
      const suspect = opened.cause === "forged" && sender !== undefined && !this.#authenticated.has(sender);
      if (suspect) this.#suspects.add(sender);
      return;
    }
    this.#authenticated.add(opened.from);
    this.#suspects.delete(opened.from);
    if (!this.#config.nodes.some(({ id }) => id === opened.from) || opened.from === this.#config.node.id) {
      this.#count("refused_unknown_node");
      return;
    }
    onMessage(opened.from, path, opened.plain);
  }

  #count(name: string): void {
    this.#counters[name] = (this.#counters[name] ?? 0) + 1;
  }
}

/** Destinations are addresses, never names: nothing to ask the resolver on every send. */
function addressItself(
  address: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, address, 4);
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      reject(
        new RainfrontError(
          "RF_RING_PORT",
          `cannot receive the ring's datagrams on ${address}:${port}: ${cause.message}`,
          {
            fix: "stop what uses the port, or set ring.port to another on all nodes",
            cause,
          },
        ),
      );
    };
    socket.once("error", onError);
    socket.bind(port, address, () => {
      socket.removeListener("error", onError);
      resolve();
    });
  });
}
