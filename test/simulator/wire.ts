// What one life of a simulated node sends and hears: through the secure channel, or as it is in a world without. Used by node.ts.
import { CLUSTER_KEY_BYTES, SecureChannel } from "../../lib/raincore/secureChannel.js";
import { FakeAead } from "./fakeAead.js";
import type { Datagram } from "./network.js";
import type { Random } from "./random.js";

export const PATHS = 2;
const NOTHING = new Uint8Array(0);

export interface WireOptions {
  readonly nodeId: number;
  readonly peerIds: readonly number[];
  /** Of this life. */
  readonly incarnation: bigint;
  readonly isSealed: boolean;
  /** Numbers of the cluster's keys: the first seals, all open. */
  readonly keys: readonly number[];
}

export interface WireHooks {
  /** `plain` is what is in it. */
  readonly transmit: (to: number, path: number, bytes: Uint8Array, plain: Uint8Array) => void;
  /** The secure channel has let a datagram through. */
  readonly opened: (datagram: Datagram) => void;
  readonly refused: (from: number, path: number, cause: string) => void;
}

export interface Opened {
  readonly from: number;
  /** Valid until `used` is called. */
  readonly plain: Uint8Array;
}

export class Wire {
  readonly #options: WireOptions;
  readonly #hooks: WireHooks;
  readonly #channel: SecureChannel | undefined;

  constructor(options: WireOptions, random: Random, hooks: WireHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#channel = options.isSealed ? newChannel(options, random) : undefined;
  }

  setKeys(keys: readonly number[]): void {
    this.#channel?.setKeys(keys.map(clusterKey));
  }

  /** So that the first messages are not lost for want of a proven life. */
  greet(now_ms: number): void {
    for (const peerId of this.#options.peerIds) {
      const hello = this.#channel?.hello(now_ms, peerId);
      if (hello !== undefined) this.#everyPath(peerId, Uint8Array.from(hello));
    }
  }

  send(to: number, path: number, plain: Uint8Array): void {
    this.#hooks.transmit(to, path, this.#channel?.seal(to, plain) ?? plain, plain);
  }

  open(now_ms: number, datagram: Datagram): Opened | undefined {
    const { from, path, bytes } = datagram;
    if (this.#channel === undefined) return { from, plain: bytes };
    // Opening uses a datagram up, and the same one may come again.
    const result = this.#channel.open(now_ms, Buffer.from(bytes));
    if (result.ok) {
      this.#hooks.opened(datagram);
      return result;
    }
    this.#hooks.refused(from, path, result.cause);
    if (result.reply !== undefined) this.#everyPath(result.from, Uint8Array.from(result.reply));
    return undefined;
  }

  /** As a socket's memory is: used again for the next datagram. */
  used({ plain }: Opened): void {
    if (this.#channel !== undefined) plain.fill(0xaa);
  }

  #everyPath(to: number, bytes: Uint8Array): void {
    for (let path = 0; path < PATHS; path++) this.#hooks.transmit(to, path, bytes, NOTHING);
  }
}

function newChannel({ nodeId, peerIds, incarnation, keys }: WireOptions, random: Random): SecureChannel {
  return new SecureChannel({
    aead: new FakeAead(),
    random: (out) => {
      for (let at = 0; at < out.length; at++) out[at] = random.integer(0, 255);
    },
    clusterKeys: keys.map(clusterKey),
    cluster: "sim",
    nodeId,
    incarnation,
    peers: peerIds,
  });
}

function clusterKey(number: number): Uint8Array {
  return new Uint8Array(CLUSTER_KEY_BYTES).fill(number);
}
