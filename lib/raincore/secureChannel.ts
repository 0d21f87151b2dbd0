// Seals and opens the ring's datagrams with the cluster's keys. Pure: the cipher and chance come in. The session puts one between the
// engine and its sockets. Opening never throws, and neither allocates nor sends by what a stranger claims.
//
// A life is one run of a node's process: node, incarnation and a random salt. Each life seals with a subkey of its own, so that a counter
// that starts anew never repeats a nonce under one key. A recorded datagram must not do anything to a receiver that was restarted since and
// forgot its counters; so a life is believed only when it proved that it lives now: it sent back a nonce that the receiver drew, sealed.
// Until then its datagrams are refused as `unproven`, and a handshake goes back. A proven life stays proven until another life of that node
// proves itself; which of them has the greater incarnation does not matter, so a clock that was set back locks nobody out.
//
// A handshake says: whose nonce it sends back (incarnation, nonce) and its own nonce, each zero when there is none. A first datagram, the
// handshake that it causes and two more: then both believe each other. Handshakes are no larger than any sealed datagram, and answer one.

import type { Aead, AeadKey } from "./aead.js";
import { forgetKeys, newSender, type Sender } from "./channelSender.js";
import {
  BODY_BYTES_MIN,
  HEADER_BYTES,
  Head,
  isSameLife,
  isZero,
  KIND_HANDSHAKE,
  KIND_MESSAGE,
  type Life,
  MAGIC,
  NONCE_BYTES,
  OFFSET_CHALLENGE,
  OFFSET_COUNTER,
  OFFSET_ECHO,
  OFFSET_INCARNATION,
  OFFSET_KEY,
  OFFSET_KIND,
  OFFSET_RECEIVER,
  OFFSET_SALT,
  OFFSET_SENDER,
  OFFSET_TAG,
  SEAL_OVERHEAD_BYTES,
  SEALED_BYTES_MIN,
  sealedBytes,
  VERSION,
  ViewCache,
} from "./sealedDatagram.js";

export type { Aead, AeadKey } from "./aead.js";
export { SEAL_OVERHEAD_BYTES, SEALED_BYTES_MIN, sealedBytes } from "./sealedDatagram.js";

export const CLUSTER_KEY_BYTES = 32;
export const CLUSTER_KEYS_MAX = 3;

/** A node is challenged that often at most. */
const CHALLENGE_GAP_MS = 5;
/** An unanswered nonce is replaced then, so that an answer held back does not stay good for ever. */
const NONCE_LIFE_MS = 1000;
// Subkeys derived for lives that are not proven, which a stranger can cause, take a few percent of a processor at most: so many for all peers in
// a window. Each has its share, so that who feigns one delays that one only. All may begin at once: with more peers than that, each has one in a
// longer window.
const TRIES_MAX = 64;
const TRIES_WINDOW_MS = 10;
/** Counters are exact as numbers below that. */
const COUNTER_HIGH_MAX = 0x1f_ffff;

/** Who seals, for whom, and with what. */
export interface SecureChannelOptions {
  readonly aead: Aead;
  /** Fills with bytes that nobody can guess. */
  readonly random: (out: Uint8Array) => void;
  /** 1 to 3 keys: the first seals, all open. */
  readonly clusterKeys: readonly Uint8Array[];
  readonly cluster: string;
  readonly nodeId: number;
  /** Other than in any earlier life of this node. */
  readonly incarnation: bigint;
  /** The nodes whose datagrams may be opened. */
  readonly peers: readonly number[];
}

/** Why a datagram was refused. */
export type OpenFailure =
  | "short"
  /** Not the ring's datagram, or another cluster's. */
  | "foreign_cluster"
  | "version"
  | "unknown_key"
  | "unknown_node"
  /** For another node. */
  | "misaddressed"
  | "replayed"
  | "forged"
  /** Too many unproven lives of one node at once. */
  | "throttled"
  /** Authentic, and yet not well-formed. */
  | "malformed"
  /** Authentic, of a life that has not proved itself. */
  | "unproven"
  /** Not a failure: a datagram between the channels themselves. */
  | "handshake";

/** What a datagram was. */
export type OpenResult =
  /** `plain` lies in the datagram. */
  | { readonly ok: true; readonly from: number; readonly plain: Uint8Array }
  /**
   * `reply`, if any, is to be sent to `from` over every path, for the one that this datagram came over may be dead in the other direction; it
   * is overwritten by the next call.
   */
  | { readonly ok: false; readonly cause: OpenFailure; readonly from: number; readonly reply: Uint8Array | undefined };

interface RingKey {
  readonly id: number;
  readonly bytes: Uint8Array;
}

const REFUSALS = new Map<OpenFailure, OpenResult>();

/** Seals and opens a node's datagrams with the cluster's keys, and believes only senders that proved that they live. */
export class SecureChannel {
  readonly #aead: Aead;
  readonly #random: (out: Uint8Array) => void;
  readonly #cluster: string;
  readonly #nodeId: number;
  readonly #life: Life;
  readonly #clusterTag: number;
  readonly #senders = new Map<number, Sender>();
  readonly #head = new Head();
  readonly #incoming = new ViewCache();
  readonly #outgoing = new ViewCache();
  readonly #header = Buffer.alloc(HEADER_BYTES);
  readonly #handshake = Buffer.alloc(SEALED_BYTES_MIN);
  readonly #handshakeBody = Buffer.alloc(BODY_BYTES_MIN);
  readonly #sealing: AeadKey;
  /** For a life that nothing is known of; becomes a candidate's key when the datagram is authentic. */
  #stranger: AeadKey;
  readonly #tries_max: number;
  readonly #triesWindow_ms: number;
  #ring: readonly RingKey[] = [];
  #counter = 0;

  constructor(options: SecureChannelOptions) {
    this.#aead = options.aead;
    this.#random = options.random;
    this.#cluster = options.cluster;
    this.#nodeId = options.nodeId;
    const salt = Buffer.alloc(2);
    this.#random(salt);
    const { incarnation } = options;
    this.#life = {
      incarnationHigh: Number((incarnation >> 32n) & 0xffff_ffffn),
      incarnationLow: Number(incarnation & 0xffff_ffffn),
      salt: salt.readUInt16BE(0),
    };
    const noSecret = new Uint8Array(CLUSTER_KEY_BYTES);
    this.#clusterTag = Buffer.from(this.#aead.derive(noSecret, `rainfront tag|${options.cluster}`, 4)).readUInt32BE(0);
    for (const nodeId of options.peers) if (nodeId !== options.nodeId) this.#senders.set(nodeId, newSender(nodeId));
    const peers = Math.max(1, this.#senders.size);
    this.#tries_max = Math.max(1, Math.floor(TRIES_MAX / peers));
    this.#triesWindow_ms = (TRIES_WINDOW_MS * Math.max(TRIES_MAX, peers)) / TRIES_MAX;
    this.#sealing = this.#aead.newKey();
    this.#stranger = this.#aead.newKey();
    this.setKeys(options.clusterKeys);
  }

  /** 1 to 3 keys: the first seals, all open. Lives stay proven. Throws RangeError, and then nothing has changed. */
  setKeys(clusterKeys: readonly Uint8Array[]): void {
    const ring = this.#ringOf(clusterKeys);
    const [first] = ring;
    if (first === undefined) throw new RangeError("there is no cluster key");
    for (const { bytes } of this.#ring) bytes.fill(0);
    this.#ring = ring;
    for (const sender of this.#senders.values()) forgetKeys(sender);
    this.#writeHeader(first.id);
    this.#derive(this.#sealing, first, this.#nodeId, this.#life);
  }

  /** Seals a message that only `to` accepts, once, into `out` at `at`; the number of bytes written, see `sealedBytes`. */
  sealInto(to: number, plain: Uint8Array, out: Buffer, at: number): number {
    return this.#seal(KIND_MESSAGE, to, plain, out, at);
  }

  /** The same into new memory. */
  seal(to: number, plain: Uint8Array): Buffer {
    const out = Buffer.allocUnsafe(sealedBytes(plain.length));
    this.#seal(KIND_MESSAGE, to, plain, out, 0);
    return out;
  }

  /** A datagram that asks `to` to prove itself, and lets it ask back: sent before any message, none is lost as unproven. Overwritten by the
   * next call. */
  hello(now_ms: number, to: number): Uint8Array | undefined {
    const sender = this.#senders.get(to);
    return sender === undefined ? undefined : this.#challenge(now_ms, sender);
  }

  /** Opens the datagram in place, which uses it up: its message, or why it was refused. */
  open(now_ms: number, datagram: Buffer, at = 0, length = datagram.length - at): OpenResult {
    if (length < SEALED_BYTES_MIN || at + length > datagram.length) return refused("short");
    const head = this.#head;
    const foreign = head.read(this.#incoming.of(datagram), at, this.#clusterTag);
    if (foreign !== undefined) return refused(foreign);
    // For another node, or one of our own sent back at us: an attempt to make us take it for ours.
    if (head.to !== this.#nodeId || head.from === this.#nodeId) return refused("misaddressed");
    const sender = this.#senders.get(head.from);
    if (sender === undefined) return refused("unknown_node");
    const keyIndex = this.#keyIndex(head.key);
    if (keyIndex < 0) return refused("unknown_key");
    if (head.counterHigh > COUNTER_HIGH_MAX) return refused("forged");
    return isSameLife(sender.life, head)
      ? this.#openProven(now_ms, sender, keyIndex, datagram, at, length)
      : this.#openUnproven(now_ms, sender, keyIndex, datagram, at, length);
  }

  /** Wipes all keys. */
  destroy(): void {
    for (const { bytes } of this.#ring) bytes.fill(0);
    for (const sender of this.#senders.values()) forgetKeys(sender);
    this.#sealing.destroy();
    this.#stranger.destroy();
  }

  #openProven(
    now_ms: number,
    sender: Sender,
    keyIndex: number,
    datagram: Buffer,
    at: number,
    length: number,
  ): OpenResult {
    const { kind, counterHigh, counterLow } = this.#head;
    if (sender.window.has(counterHigh, counterLow)) return refused("replayed");
    if (!this.#isAuthentic(this.#keyOf(sender, keyIndex), datagram, at, length)) return refused("forged");
    sender.window.add(counterHigh, counterLow);
    const bodyBytes = length - SEAL_OVERHEAD_BYTES;
    if (kind === KIND_HANDSHAKE && bodyBytes === BODY_BYTES_MIN) return this.#shakeHands(now_ms, sender, datagram, at);
    const padding = kind >>> 2;
    if ((kind & 3) !== KIND_MESSAGE || padding > bodyBytes) return refused("malformed");
    const start = datagram.byteOffset + at + HEADER_BYTES;
    return { ok: true, from: sender.nodeId, plain: new Uint8Array(datagram.buffer, start, bodyBytes - padding) };
  }

  #openUnproven(
    now_ms: number,
    sender: Sender,
    keyIndex: number,
    datagram: Buffer,
    at: number,
    length: number,
  ): OpenResult {
    const known = sender.candidate;
    if (known !== undefined && known.keyIndex === keyIndex && isSameLife(known.life, this.#head)) {
      if (!this.#isAuthentic(known.key, datagram, at, length)) return refused("forged");
    } else {
      if (!this.#mayTry(now_ms, sender)) return refused("throttled");
      const { incarnationHigh, incarnationLow, salt } = this.#head;
      const life = { incarnationHigh, incarnationLow, salt };
      const ringKey = this.#ring[keyIndex];
      if (ringKey !== undefined) this.#derive(this.#stranger, ringKey, sender.nodeId, life);
      if (!this.#isAuthentic(this.#stranger, datagram, at, length)) return refused("forged");
      sender.candidate = { life, keyIndex, key: this.#stranger, answered_ms: Number.NEGATIVE_INFINITY };
      this.#stranger = known?.key ?? this.#aead.newKey();
    }
    const isHandshake = this.#head.kind === KIND_HANDSHAKE && length === SEALED_BYTES_MIN;
    if (isHandshake) return this.#shakeHands(now_ms, sender, datagram, at);
    return { ok: false, cause: "unproven", from: sender.nodeId, reply: this.#challenge(now_ms, sender) };
  }

  /** An authentic handshake, of a proven life or of the candidate. */
  #shakeHands(now_ms: number, sender: Sender, datagram: Buffer, at: number): OpenResult {
    const body = at + HEADER_BYTES;
    if (this.#isAnswer(sender, datagram, body)) this.#prove(sender);
    const isProven = isSameLife(sender.life, this.#head);
    const asks = !isZero(datagram, body + OFFSET_CHALLENGE, NONCE_BYTES);
    let reply: Uint8Array | undefined;
    if (asks && (isProven || isUnanswered(now_ms, sender))) {
      const nonce = isProven ? undefined : this.#nonceFor(now_ms, sender);
      reply = this.#sealHandshake(sender.nodeId, datagram, at, nonce);
    } else if (!isProven) {
      reply = this.#challenge(now_ms, sender);
    }
    return { ok: false, cause: "handshake", from: sender.nodeId, reply };
  }

  #isAnswer(sender: Sender, datagram: Buffer, body: number): boolean {
    if (sender.nonceDrawn_ms === undefined) return false;
    const { incarnationHigh, incarnationLow } = this.#life;
    if (datagram.readUInt32BE(body) !== incarnationHigh || datagram.readUInt32BE(body + 4) !== incarnationLow)
      return false;
    return sender.nonce.every((byte, i) => datagram[body + OFFSET_ECHO + i] === byte);
  }

  /** The life of that datagram is alive now: it knows a nonce that was never seen before. */
  #prove(sender: Sender): void {
    sender.nonceDrawn_ms = undefined;
    const { candidate } = sender;
    if (candidate === undefined || !isSameLife(candidate.life, this.#head)) return;
    for (const key of sender.keys) key?.destroy();
    sender.life = candidate.life;
    sender.keys = [];
    sender.keys[candidate.keyIndex] = candidate.key;
    sender.candidate = undefined;
    // What it sealed before may have been recorded, and seen by an earlier life of ours.
    sender.window.startAfter(this.#head.counterHigh, this.#head.counterLow);
  }

  #challenge(now_ms: number, sender: Sender): Uint8Array | undefined {
    const nonce = this.#nonceFor(now_ms, sender);
    return nonce === undefined ? undefined : this.#sealHandshake(sender.nodeId, undefined, 0, nonce);
  }

  /** The nonce that proves a life of the sender, unless it was sent a moment ago. One at a time: answers to a repeated one stay good. */
  #nonceFor(now_ms: number, sender: Sender): Uint8Array | undefined {
    if (now_ms - sender.challenged_ms < CHALLENGE_GAP_MS) return undefined;
    sender.challenged_ms = now_ms;
    if (sender.nonceDrawn_ms === undefined || now_ms - sender.nonceDrawn_ms >= NONCE_LIFE_MS) {
      this.#random(sender.nonce);
      sender.nonceDrawn_ms = now_ms;
    }
    return sender.nonce;
  }

  /** Answers the handshake at `at` of `asked`, if there is one. */
  #sealHandshake(to: number, asked: Buffer | undefined, at: number, nonce: Uint8Array | undefined): Uint8Array {
    const body = this.#handshakeBody.fill(0);
    if (asked !== undefined) {
      asked.copy(body, 0, at + OFFSET_INCARNATION, at + OFFSET_INCARNATION + 8);
      const from = at + HEADER_BYTES + OFFSET_CHALLENGE;
      asked.copy(body, OFFSET_ECHO, from, from + NONCE_BYTES);
    }
    if (nonce !== undefined) body.set(nonce, OFFSET_CHALLENGE);
    this.#seal(KIND_HANDSHAKE, to, body, this.#handshake, 0);
    return this.#handshake;
  }

  #seal(kind: number, to: number, plain: Uint8Array, out: Buffer, at: number): number {
    const padding = Math.max(0, BODY_BYTES_MIN - plain.length);
    const bodyBytes = plain.length + padding;
    const total = bodyBytes + SEAL_OVERHEAD_BYTES;
    if (at + total > out.length) throw new RangeError(`sealing takes ${total} bytes, there are ${out.length - at}`);
    this.#counter += 1;
    const high = Math.floor(this.#counter / 0x1_0000_0000);
    const low = this.#counter >>> 0;
    const view = this.#outgoing.of(out);
    out.set(this.#header, at);
    view.setUint8(at + OFFSET_KIND, kind | (padding << 2));
    view.setUint16(at + OFFSET_RECEIVER, to);
    view.setUint32(at + OFFSET_COUNTER, high);
    view.setUint32(at + OFFSET_COUNTER + 4, low);
    out.set(plain, at + HEADER_BYTES);
    if (padding > 0) out.fill(0, at + HEADER_BYTES + plain.length, at + HEADER_BYTES + bodyBytes);
    this.#sealing.seal(out, at, HEADER_BYTES, bodyBytes, high, low);
    return total;
  }

  /** All of the header that does not change from datagram to datagram. */
  #writeHeader(keyId: number): void {
    this.#header.writeUInt16BE(MAGIC, 0);
    this.#header.writeUInt8(VERSION, 2);
    this.#header.writeUInt32BE(this.#clusterTag, OFFSET_TAG);
    this.#header.writeUInt16BE(keyId, OFFSET_KEY);
    this.#header.writeUInt16BE(this.#nodeId, OFFSET_SENDER);
    this.#header.writeUInt16BE(this.#life.salt, OFFSET_SALT);
    this.#header.writeUInt32BE(this.#life.incarnationHigh, OFFSET_INCARNATION);
    this.#header.writeUInt32BE(this.#life.incarnationLow, OFFSET_INCARNATION + 4);
  }

  #ringOf(clusterKeys: readonly Uint8Array[]): readonly RingKey[] {
    if (clusterKeys.length < 1 || clusterKeys.length > CLUSTER_KEYS_MAX)
      throw new RangeError(`there are 1 to ${CLUSTER_KEYS_MAX} cluster keys, not ${clusterKeys.length}`);
    const ring = clusterKeys.map((key) => {
      if (key.length !== CLUSTER_KEY_BYTES) throw new RangeError("a cluster key has 32 bytes");
      const bytes = Uint8Array.from(key);
      return { id: Buffer.from(this.#aead.derive(bytes, "rainfront key", 2)).readUInt16BE(0), bytes };
    });
    // A datagram names its key by 16 bits, and is opened once: in place, a failure destroys it.
    if (new Set(ring.map(({ id }) => id)).size !== ring.length)
      throw new RangeError("two cluster keys are the same, or have the same short name by chance: use another one");
    return ring;
  }

  #keyIndex(id: number): number {
    for (let i = 0; i < this.#ring.length; i++) if (this.#ring[i]?.id === id) return i;
    return -1;
  }

  #keyOf(sender: Sender, keyIndex: number): AeadKey {
    const known = sender.keys[keyIndex];
    if (known !== undefined) return known;
    const key = this.#aead.newKey();
    const ringKey = this.#ring[keyIndex];
    if (ringKey !== undefined && sender.life !== undefined) this.#derive(key, ringKey, sender.nodeId, sender.life);
    sender.keys[keyIndex] = key;
    return key;
  }

  #derive(key: AeadKey, ringKey: RingKey, nodeId: number, life: Life): void {
    const { incarnationHigh, incarnationLow, salt } = life;
    const info = `rainfront life|${nodeId}|${incarnationHigh}|${incarnationLow}|${salt}|${this.#cluster}`;
    const subkey = this.#aead.derive(ringKey.bytes, info, CLUSTER_KEY_BYTES);
    key.setKey(subkey);
    subkey.fill(0);
  }

  #isAuthentic(key: AeadKey, datagram: Buffer, at: number, length: number): boolean {
    const { counterHigh, counterLow } = this.#head;
    return key.open(datagram, at, HEADER_BYTES, length - SEAL_OVERHEAD_BYTES, counterHigh, counterLow);
  }

  #mayTry(now_ms: number, sender: Sender): boolean {
    if (now_ms - sender.triesSince_ms >= this.#triesWindow_ms) {
      sender.triesSince_ms = now_ms;
      sender.tries = 0;
    }
    sender.tries += 1;
    return sender.tries <= this.#tries_max;
  }
}

/** The question of the candidate; it is taken for answered now. */
function isUnanswered(now_ms: number, { candidate }: Sender): boolean {
  if (candidate === undefined || now_ms - candidate.answered_ms < CHALLENGE_GAP_MS / 2) return false;
  candidate.answered_ms = now_ms;
  return true;
}

/** One object per cause: a flood of refused datagrams leaves no garbage. */
function refused(cause: OpenFailure): OpenResult {
  let result = REFUSALS.get(cause);
  if (result === undefined) {
    result = { ok: false, cause, from: 0, reply: undefined };
    REFUSALS.set(cause, result);
  }
  return result;
}
