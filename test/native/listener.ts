// A datagram port that notes what it hears, and loopback addresses for it, for the tests of the datagram ports.

import assert from "node:assert/strict";
import {
  ARRIVAL_LENGTH,
  ARRIVAL_OFFSET,
  ARRIVAL_PATH,
  ARRIVAL_PEER,
  ARRIVAL_WORDS,
  type DatagramPort,
} from "../../lib/session/datagramPort.js";

export const PORT = 7931;
/** Several processes may use this file at once. */
const NETWORK = `127.${(process.pid >> 8) & 127}.${process.pid & 255}`;
let lastHost = 0;

export function address(): string {
  lastHost += 1;
  assert.ok(lastHost < 255);
  return `${NETWORK}.${lastHost}`;
}

interface Arrived {
  readonly text: string;
  readonly length: number;
  readonly path: number;
  readonly peer: number;
}

/** A port, and what it heard. */
export class Listener {
  readonly port: DatagramPort;
  readonly arrived: Arrived[] = [];
  timers = 0;
  largestBatch = 0;
  onWake: (() => void) | undefined;
  #waiting: { readonly isEnough: () => boolean; readonly resolve: () => void } | undefined;

  constructor(port: DatagramPort) {
    this.port = port;
    port.listen((count, timerDue) => {
      this.#read(count);
      if (timerDue) this.timers += 1;
      this.onWake?.();
      if (this.#waiting?.isEnough() === true) this.#waiting.resolve();
    });
  }

  /** Resolves when that holds after a wake-up; the test runner's limit ends what never comes. */
  until(isEnough: () => boolean): Promise<void> {
    if (isEnough()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = { isEnough, resolve };
    });
  }

  datagrams(count: number): Promise<void> {
    return this.until(() => this.arrived.length >= count);
  }

  send(peer: number, datagram: Uint8Array): void {
    const offset = this.port.reserve(datagram.length);
    this.port.outgoing.set(datagram, offset);
    this.port.send(peer, offset, datagram.length);
  }

  #read(count: number): void {
    this.largestBatch = Math.max(this.largestBatch, count);
    const { arrivals, incoming } = this.port;
    for (let at = 0; at < count * ARRIVAL_WORDS; at += ARRIVAL_WORDS) {
      const offset = arrivals[at + ARRIVAL_OFFSET] ?? -1;
      const length = arrivals[at + ARRIVAL_LENGTH] ?? -1;
      const bytes = incoming.subarray(offset, offset + length);
      assert.equal(bytes.length, length);
      this.arrived.push({
        text: bytes.subarray(0, 16).toString("latin1").replace(/\.*$/, ""),
        length,
        path: arrivals[at + ARRIVAL_PATH] ?? -1,
        peer: arrivals[at + ARRIVAL_PEER] ?? -1,
      });
    }
  }
}

/** A datagram of that size that begins with the text. */
export function datagram(text: string, length = 100): Buffer {
  return Buffer.from(text.padEnd(length, "."), "latin1").subarray(0, length);
}
