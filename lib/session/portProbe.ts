// Is there a process behind a node's port? A datagram to a closed port brings an ICMP error from the kernel there, within a round trip, on a
// connected socket of its own: an error on the ring's socket would come back as that of the next send to somebody else. Nothing is believed but
// the absence of a process, which an attacker could only feign by guessing the socket's port in the moment in which a node does not answer or is
// suspected (docs/decisions/0012-lifelines.md). Used by network.ts, in those moments.
import { createSocket, type Socket } from "node:dgram";

export interface PortProbeOptions {
  /** Local addresses by path; empty: probes do nothing. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly addressOf: (nodeId: number, path: number) => string | undefined;
  readonly onRefused: (nodeId: number, path: number) => void;
}

const NOTHING = new Uint8Array(0);

export class PortProbe {
  readonly #options: PortProbeOptions;
  readonly #sockets = new Map<string, Socket>();
  /** Those that have not got as far as to send. */
  readonly #opening = new Set<Socket>();
  #isClosed = false;

  constructor(options: PortProbeOptions) {
    this.#options = options;
  }

  /** Never fails: without a probe, silence lasts as long as it lasts. */
  ask(nodeId: number, path: number): void {
    if (this.#isClosed) return;
    const key = `${nodeId}/${path}`;
    const socket = this.#sockets.get(key);
    if (socket === undefined) this.#open(key, nodeId, path);
    else if (!this.#opening.has(socket)) this.#send(socket);
  }

  close(): void {
    this.#isClosed = true;
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  /** Sends as soon as it can. An address that has gone fails here and now: the socket is closed before `bind` returns. */
  #open(key: string, nodeId: number, path: number): void {
    const { addresses, port, addressOf, onRefused } = this.#options;
    const [local, remote] = [addresses[path], addressOf(nodeId, path)];
    if (local === undefined || remote === undefined) return;
    const socket = createSocket({ type: "udp4", lookup: (name, _options, callback) => callback(null, name, 4) });
    this.#sockets.set(key, socket);
    this.#opening.add(socket);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (this.#isClosed) return;
      if (error.code === "ECONNREFUSED") onRefused(nodeId, path);
      else if (this.#opening.has(socket)) this.#drop(key, socket);
    });
    socket.on("connect", () => {
      this.#opening.delete(socket);
      if (!this.#isClosed) this.#send(socket);
    });
    socket.unref();
    socket.bind({ address: local, port: 0 }, () => {
      if (!this.#isClosed) socket.connect(port, remote);
    });
  }

  /** It could not be bound or connected; the next question tries again. */
  #drop(key: string, socket: Socket): void {
    this.#opening.delete(socket);
    this.#sockets.delete(key);
    socket.close();
  }

  #send(socket: Socket): void {
    // Its error, if it has one, is that of the datagram before it, and has been told.
    socket.send(NOTHING, () => {});
  }
}
