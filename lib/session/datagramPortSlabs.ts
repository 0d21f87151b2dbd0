// The memory of a datagram port: what comes in, what goes out, and the lists of both. Used by both implementations.

import { ARRIVAL_WORDS } from "./datagramPort.js";

/** A received packet may be as large as UDP's largest, also when it is several datagrams that the kernel merged. */
export const SLOT_BYTES = 65_536;
/** Packets per wake-up at most. */
const SLOTS = 32;
/** Datagrams in a merged packet at most. */
const PARTS_MAX = 128;
export const ARRIVALS_MAX = SLOTS * PARTS_MAX;

/** UDP's largest payload over IPv4. */
export const DATAGRAM_BYTES_MAX = 65_507;
const OUTGOING_BYTES = 1 << 20;
const DEPARTURE_WORDS = 3;
const DEPARTURES_MAX = 1024;

/** Bytes of each socket's buffers: bursts of a second at a few hundred megabits. */
export const SOCKET_BUFFER_BYTES = 4 << 20;

export class IncomingSlab {
  readonly bytes = Buffer.alloc(SLOTS * SLOT_BYTES);
  readonly arrivals = new Int32Array(ARRIVALS_MAX * ARRIVAL_WORDS);
}

/** Datagrams that are laid out one after another until they are sent, all at once. */
export class OutgoingSlab {
  readonly bytes = Buffer.alloc(OUTGOING_BYTES);
  /** Per datagram: peer, offset, length. */
  readonly departures = new Int32Array(DEPARTURES_MAX * DEPARTURE_WORDS);
  count = 0;
  #used = 0;

  hasRoom(bytes: number): boolean {
    if (bytes > DATAGRAM_BYTES_MAX) throw new RangeError(`a datagram has ${DATAGRAM_BYTES_MAX} bytes at most`);
    return this.#used + bytes <= OUTGOING_BYTES && this.count < DEPARTURES_MAX;
  }

  /** Where the next datagram goes. */
  get offset(): number {
    return this.#used;
  }

  add(peer: number, offset: number, length: number): void {
    const at = this.count * DEPARTURE_WORDS;
    this.departures[at] = peer;
    this.departures[at + 1] = offset;
    this.departures[at + 2] = length;
    this.count += 1;
    this.#used = Math.max(this.#used, offset + length);
  }

  /** Of the datagram with that index. */
  departure(index: number): { readonly peer: number; readonly offset: number; readonly length: number } {
    const [peer = 0, offset = 0, length = 0] = this.departures.subarray(index * DEPARTURE_WORDS);
    return { peer, offset, length };
  }

  clear(): void {
    this.count = 0;
    this.#used = 0;
  }
}
