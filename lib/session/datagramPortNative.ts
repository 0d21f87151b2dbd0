// The addon's datagram port: see native/datagram/datagram_port.h. Used by datagramPort.ts.

import type { NativeAddon, NativeDatagramPort } from "../native.js";
import type { DatagramCounters, DatagramPort, DatagramPortOptions, OnWake } from "./datagramPort.js";
import { IncomingSlab, OutgoingSlab, SOCKET_BUFFER_BYTES } from "./datagramPortSlabs.js";

export function openNativePort(native: NativeAddon, options: DatagramPortOptions): DatagramPort {
  const incoming = new IncomingSlab();
  const outgoing = new OutgoingSlab();
  const port = new native.DatagramPort({
    addresses: options.addresses,
    port: options.port,
    peers: options.peers,
    buffer_bytes: SOCKET_BUFFER_BYTES,
    incoming: incoming.bytes,
    arrivals: incoming.arrivals,
    outgoing: outgoing.bytes,
    departures: outgoing.departures,
  });
  return new Port(port, incoming, outgoing);
}

class Port implements DatagramPort {
  readonly incoming: Buffer;
  readonly arrivals: Int32Array;
  readonly outgoing: Buffer;
  readonly #port: NativeDatagramPort;
  readonly #queue: OutgoingSlab;

  constructor(port: NativeDatagramPort, incoming: IncomingSlab, queue: OutgoingSlab) {
    this.#port = port;
    this.incoming = incoming.bytes;
    this.arrivals = incoming.arrivals;
    this.outgoing = queue.bytes;
    this.#queue = queue;
  }

  listen(onWake: OnWake): void {
    this.#port.listen(onWake);
  }

  reserve(bytes: number): number {
    if (!this.#queue.hasRoom(bytes)) this.flush();
    return this.#queue.offset;
  }

  send(peer: number, offset: number, length: number): void {
    this.#queue.add(peer, offset, length);
  }

  flush(): void {
    const { count } = this.#queue;
    if (count === 0) return;
    this.#queue.clear();
    this.#port.flush(count);
  }

  now_ms(): number {
    return this.#port.now_ms();
  }

  setTimer(at_ms: number): void {
    this.#port.setTimer(at_ms);
  }

  counters(): DatagramCounters {
    return this.#port.counters();
  }

  close(): void {
    this.#port.close();
  }
}
