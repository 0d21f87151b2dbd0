// A datagram port of node's own sockets and timers, for machines without the addon: each datagram wakes by itself and is copied. Used by
// datagramPort.ts.

import { createSocket, type Socket } from "node:dgram";
import { RainfrontError } from "../errors.js";
import { BootClock } from "./bootClock.js";
import {
  ARRIVAL_LENGTH,
  ARRIVAL_OFFSET,
  ARRIVAL_PATH,
  ARRIVAL_PEER,
  DATAGRAM_COUNTERS,
  type DatagramCounters,
  type DatagramPort,
  type DatagramPortOptions,
  type OnWake,
} from "./datagramPort.js";
import { IncomingSlab, OutgoingSlab, SOCKET_BUFFER_BYTES } from "./datagramPortSlabs.js";

type Counter = keyof DatagramCounters;

const CAUSES: Readonly<Record<string, Counter>> = {
  EAGAIN: "send_buffer_full",
  ENOBUFS: "send_no_memory",
  ENOMEM: "send_no_memory",
  EMSGSIZE: "send_too_big",
  ECONNREFUSED: "send_refused",
  ENETUNREACH: "send_unreachable",
  EHOSTUNREACH: "send_unreachable",
  ENETDOWN: "send_unreachable",
  EADDRNOTAVAIL: "send_unreachable",
  ENODEV: "send_unreachable",
  EPERM: "send_denied",
  EACCES: "send_denied",
};

export class NodeDatagramPort implements DatagramPort {
  readonly incoming: Buffer;
  readonly arrivals: Int32Array;
  readonly outgoing: Buffer;
  readonly #options: DatagramPortOptions;
  readonly #sockets: Socket[] = [];
  readonly #queue = new OutgoingSlab();
  readonly #counters = Object.fromEntries(DATAGRAM_COUNTERS.map((name) => [name, 0])) as Record<Counter, number>;
  /** Index of a peer by path and address. */
  readonly #peers = new Map<string, number>();
  readonly #clock = new BootClock();
  #onWake: OnWake | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAt_ms = Number.POSITIVE_INFINITY;
  #closed = false;

  static async open(options: DatagramPortOptions): Promise<NodeDatagramPort> {
    const port = new NodeDatagramPort(options);
    try {
      for (const [path, address] of options.addresses.entries()) await port.#bind(path, address);
    } catch (error) {
      port.close();
      throw error;
    }
    return port;
  }

  private constructor(options: DatagramPortOptions) {
    const slab = new IncomingSlab();
    this.incoming = slab.bytes;
    this.arrivals = slab.arrivals;
    this.outgoing = this.#queue.bytes;
    this.#options = options;
    for (const [index, { path, address }] of options.peers.entries()) {
      const key = `${path} ${address}`;
      if (!this.#peers.has(key)) this.#peers.set(key, index);
    }
  }

  listen(onWake: OnWake): void {
    if (this.#onWake === undefined) {
      for (const [path, socket] of this.#sockets.entries()) {
        socket.on("message", (datagram, { address }) => this.#receive(path, address, datagram));
      }
    }
    this.#onWake = onWake;
    this.#schedule();
  }

  reserve(bytes: number): number {
    if (!this.#queue.hasRoom(bytes)) this.flush();
    return this.#queue.offset;
  }

  send(peer: number, offset: number, length: number): void {
    this.#queue.add(peer, offset, length);
  }

  flush(): void {
    if (this.#closed) throw closedError();
    const { count } = this.#queue;
    for (let i = 0; i < count; i++) this.#sendOne(i);
    this.#queue.clear();
  }

  now_ms(): number {
    return this.#clock.now_ms();
  }

  setTimer(at_ms: number): void {
    if (this.#closed) throw closedError();
    this.#timerAt_ms = at_ms;
    this.#schedule();
  }

  counters(): DatagramCounters {
    return { ...this.#counters };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const socket of this.#sockets) socket.close();
    this.#sockets.length = 0;
  }

  #bind(path: number, address: string): Promise<void> {
    const socket = createSocket({
      type: "udp4",
      recvBufferSize: SOCKET_BUFFER_BYTES,
      sendBufferSize: SOCKET_BUFFER_BYTES,
      // Destinations are addresses, never names: nothing to ask the resolver on every send.
      lookup: (name, _options, callback) => callback(null, name, 4),
    });
    this.#sockets[path] = socket;
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address, port: this.#options.port, exclusive: true }, () => {
        socket.removeListener("error", reject);
        socket.on("error", () => this.#count("receive_failed"));
        resolve();
      });
    });
  }

  #receive(path: number, address: string, datagram: Buffer): void {
    if (this.#closed) return;
    this.incoming.set(datagram);
    this.arrivals[ARRIVAL_OFFSET] = 0;
    this.arrivals[ARRIVAL_LENGTH] = datagram.length;
    this.arrivals[ARRIVAL_PATH] = path;
    this.arrivals[ARRIVAL_PEER] = this.#peers.get(`${path} ${address}`) ?? -1;
    this.#count("datagrams_in");
    this.#wake(1, false);
  }

  #wake(count: number, timerDue: boolean): void {
    this.#count("wakes");
    this.#onWake?.(count, timerDue);
  }

  #sendOne(index: number): void {
    const { peer, offset, length } = this.#queue.departure(index);
    const to = this.#options.peers[peer];
    const socket = to === undefined ? undefined : this.#sockets[to.path];
    if (to === undefined || socket === undefined) throw new RainfrontError("RF_ARGUMENT", `there is no peer ${peer}`);
    // A copy: the socket may keep it for a while, and the slab is filled anew.
    const datagram = Buffer.from(this.outgoing.subarray(offset, offset + length));
    socket.send(datagram, this.#options.port, to.address, (error) => {
      if (error === null) this.#count("datagrams_out");
      else this.#count(CAUSES[(error as NodeJS.ErrnoException).code ?? ""] ?? "send_failed");
    });
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#onWake === undefined || !Number.isFinite(this.#timerAt_ms)) return;
    // Rounded up: timers count whole milliseconds, and one that fires early costs a second wake-up.
    const wait_ms = Math.max(0, Math.ceil(this.#timerAt_ms - this.now_ms()));
    this.#timer = setTimeout(() => this.#onTimer(), wait_ms);
  }

  #onTimer(): void {
    if (this.now_ms() < this.#timerAt_ms) this.#schedule();
    // After the sockets: the event loop serves due timers first, and what a late timer waits for may have arrived long ago.
    else setImmediate(() => this.#fire());
  }

  #fire(): void {
    // It may have been set anew since, by what the sockets had.
    if (this.#closed || this.now_ms() < this.#timerAt_ms) return;
    this.#timerAt_ms = Number.POSITIVE_INFINITY;
    this.#wake(0, true);
  }

  #count(name: Counter): void {
    this.#counters[name] += 1;
  }
}

function closedError(): RainfrontError {
  return new RainfrontError("RF_PORT_CLOSED", "this datagram port is closed");
}
