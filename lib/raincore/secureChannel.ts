// Seals and opens the ring's datagrams with the cluster key. The daemon puts one between Raincore and its sockets.
// Opening never throws and never allocates by a length that the datagram claims.
import { createCipheriv, createDecipheriv, createHash, hkdfSync, timingSafeEqual } from "node:crypto";

export const CLUSTER_KEY_BYTES = 32;

// Header: magic u16, version u8, zero u8, sender u16, receiver u16, cluster tag 8, incarnation u64, counter u64.
const MAGIC = 0x5246;
const VERSION = 1;
const OFFSET_SENDER = 4;
const OFFSET_RECEIVER = 6;
const OFFSET_TAG = 8;
const OFFSET_INCARNATION = 16;
const OFFSET_COUNTER = 24;
const HEADER_BYTES = 32;
const CLUSTER_TAG_BYTES = 8;
const AUTH_TAG_BYTES = 16;
/** Bytes that sealing adds. */
export const SEAL_OVERHEAD_BYTES = HEADER_BYTES + AUTH_TAG_BYTES;

const REPLAY_WINDOW = 1024n;
const CIPHER = "chacha20-poly1305";
// Subkeys of senders that never authenticated are not kept, so strangers cannot fill the map; this bounds the rest.
const SENDERS_MAX = 1024;

export interface SecureChannelOptions {
  readonly clusterKey: Uint8Array;
  readonly cluster: string;
  readonly nodeId: number;
  readonly incarnation: bigint;
}

export type OpenFailure = "short" | "foreign_cluster" | "forged" | "replayed" | "stale_incarnation";

export type OpenResult =
  | { readonly ok: true; readonly from: number; readonly plain: Uint8Array }
  | { readonly ok: false; readonly cause: OpenFailure };

/** The latest life of a sender: its subkey and which of its counters were seen. */
interface SenderState {
  readonly incarnation: bigint;
  readonly key: Uint8Array;
  readonly window: ReplayWindow;
}

export class SecureChannel {
  readonly #clusterKey: Uint8Array;
  readonly #cluster: string;
  readonly #nodeId: number;
  readonly #incarnation: bigint;
  readonly #clusterTag: Buffer;
  readonly #ownKey: Uint8Array;
  readonly #senders = new Map<number, SenderState>();
  #counter = 0n;

  constructor(options: SecureChannelOptions) {
    if (options.clusterKey.length !== CLUSTER_KEY_BYTES) throw new RangeError("the cluster key has 32 bytes");
    this.#clusterKey = Uint8Array.from(options.clusterKey);
    this.#cluster = options.cluster;
    this.#nodeId = options.nodeId;
    this.#incarnation = options.incarnation;
    this.#clusterTag = createHash("sha256").update(options.cluster).digest().subarray(0, CLUSTER_TAG_BYTES);
    this.#ownKey = this.#subkey(options.nodeId, options.incarnation);
  }

  /** A datagram that only `to` accepts, once. */
  seal(to: number, plain: Uint8Array): Uint8Array {
    this.#counter += 1n;
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt16BE(MAGIC, 0);
    header.writeUInt8(VERSION, 2);
    header.writeUInt16BE(this.#nodeId, OFFSET_SENDER);
    header.writeUInt16BE(to, OFFSET_RECEIVER);
    this.#clusterTag.copy(header, OFFSET_TAG);
    header.writeBigUInt64BE(this.#incarnation, OFFSET_INCARNATION);
    header.writeBigUInt64BE(this.#counter, OFFSET_COUNTER);
    const cipher = createCipheriv(CIPHER, this.#ownKey, nonce(this.#counter), { authTagLength: AUTH_TAG_BYTES });
    cipher.setAAD(header, { plaintextLength: plain.length });
    const body = cipher.update(plain);
    cipher.final();
    return Buffer.concat([header, body, cipher.getAuthTag()]);
  }

  /** The sender and its message, or why the datagram was refused. */
  open(datagram: Uint8Array): OpenResult {
    if (datagram.length < SEAL_OVERHEAD_BYTES) return refused("short");
    const view = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length);
    if (!this.#isOurs(view)) return refused("foreign_cluster");
    const from = view.readUInt16BE(OFFSET_SENDER);
    // A datagram for another node, or one of our own sent back at us, is an attempt to make us take it for ours.
    if (view.readUInt16BE(OFFSET_RECEIVER) !== this.#nodeId || from === this.#nodeId) return refused("forged");
    const incarnation = view.readBigUInt64BE(OFFSET_INCARNATION);
    const counter = view.readBigUInt64BE(OFFSET_COUNTER);
    const known = this.#senders.get(from);
    if (known !== undefined && incarnation < known.incarnation) return refused("stale_incarnation");
    if (known !== undefined && incarnation === known.incarnation && known.window.has(counter))
      return refused("replayed");
    const sender = known?.incarnation === incarnation ? known : this.#newSender(from, incarnation);
    const plain = decrypt(view, sender.key, counter);
    if (plain === undefined) return refused("forged");
    if (sender !== known) this.#remember(from, sender);
    sender.window.add(counter);
    return { ok: true, from, plain };
  }

  #isOurs(datagram: Buffer): boolean {
    if (datagram.readUInt16BE(0) !== MAGIC || datagram.readUInt8(2) !== VERSION || datagram.readUInt8(3) !== 0)
      return false;
    return timingSafeEqual(datagram.subarray(OFFSET_TAG, OFFSET_TAG + CLUSTER_TAG_BYTES), this.#clusterTag);
  }

  #newSender(from: number, incarnation: bigint): SenderState {
    return { incarnation, key: this.#subkey(from, incarnation), window: new ReplayWindow() };
  }

  #remember(from: number, sender: SenderState): void {
    if (this.#senders.size >= SENDERS_MAX && !this.#senders.has(from)) {
      for (const oldest of this.#senders.keys()) {
        this.#senders.delete(oldest);
        break;
      }
    }
    this.#senders.set(from, sender);
  }

  /** One key per life of a sender, so a counter that starts again never repeats a nonce under one key. */
  #subkey(nodeId: number, incarnation: bigint): Uint8Array {
    const info = `rainfront ring|${this.#cluster}|${nodeId}|${incarnation}`;
    return new Uint8Array(hkdfSync("sha256", this.#clusterKey, new Uint8Array(0), info, CLUSTER_KEY_BYTES));
  }
}

function refused(cause: OpenFailure): OpenResult {
  return { ok: false, cause };
}

function nonce(counter: bigint): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64BE(counter, 4);
  return bytes;
}

function decrypt(datagram: Buffer, key: Uint8Array, counter: bigint): Uint8Array | undefined {
  const body = datagram.subarray(HEADER_BYTES, datagram.length - AUTH_TAG_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce(counter), { authTagLength: AUTH_TAG_BYTES });
  decipher.setAAD(datagram.subarray(0, HEADER_BYTES), { plaintextLength: body.length });
  decipher.setAuthTag(datagram.subarray(datagram.length - AUTH_TAG_BYTES));
  try {
    const plain = decipher.update(body);
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}

/** Which of the last 1024 counters were seen; anything older counts as seen. */
class ReplayWindow {
  readonly #seen = new Uint8Array(Number(REPLAY_WINDOW));
  #highest = 0n;

  has(counter: bigint): boolean {
    if (counter === 0n) return true;
    if (counter > this.#highest) return false;
    if (this.#highest - counter >= REPLAY_WINDOW) return true;
    return this.#seen[slot(counter)] === 1;
  }

  add(counter: bigint): void {
    if (counter > this.#highest) {
      this.#forgetUpTo(counter);
      this.#highest = counter;
    }
    this.#seen[slot(counter)] = 1;
  }

  /** Slots of the counters between the old and the new highest get a fresh start. */
  #forgetUpTo(counter: bigint): void {
    if (counter - this.#highest >= REPLAY_WINDOW) {
      this.#seen.fill(0);
      return;
    }
    for (let c = this.#highest + 1n; c <= counter; c += 1n) this.#seen[slot(c)] = 0;
  }
}

function slot(counter: bigint): number {
  return Number(counter % REPLAY_WINDOW);
}
