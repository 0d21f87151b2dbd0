// Rows of datagrams as they come from a socket, opened with the right key: raw bytes, what a peer seals, the same changed or
// recorded and sent again, and what only somebody with the key could seal; with restarts of both ends between them. The
// handshakes that the channels answer with go back and forth as they would.
import { createHash } from "node:crypto";
import { decode, encode } from "../../../lib/raincore/messages.js";
import {
  type Aead,
  type AeadKey,
  type OpenResult,
  SEAL_OVERHEAD_BYTES,
  SecureChannel,
} from "../../../lib/raincore/secureChannel.js";
import { Random } from "../../simulator/random.js";
import { frame, readFrames, row } from "../frames.js";
import { type Target, Violation } from "../target.js";
import { MESSAGES } from "./samples.js";

const KEY = new Uint8Array(32).fill(7);
const PEER = 1;
const SELF = 2;
const TAG_BYTES = 16;
const HEADER_BYTES = SEAL_OVERHEAD_BYTES - TAG_BYTES;
const OFFSET_KIND = 3;
const OFFSET_COUNTER = 24;
const PLAIN = new TextEncoder().encode("a message that was sealed");
/** Answers to answers end by themselves. */
const HANDSHAKES_MAX = 8;
const MODES = ["raw", "sealed", "again", "changed", "crafted", "peerRestarts", "selfRestarts"] as const;
/** In an event's first byte, beside its mode. */
const UNHEARD = 0x80;
type Mode = (typeof MODES)[number];

/** A tag without a cipher: the channel is under test, not the mathematics; lib/session/aead.ts has tests of its own. */
class TagKey implements AeadKey {
  #key = new Uint8Array(0);

  setKey(key: Uint8Array): void {
    this.#key = Uint8Array.from(key);
  }

  seal(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, high: number, low: number): void {
    buffer.set(this.#tag(buffer, at, aadBytes + textBytes, high, low), at + aadBytes + textBytes);
  }

  open(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, high: number, low: number): boolean {
    const tagAt = at + aadBytes + textBytes;
    return this.#tag(buffer, at, aadBytes + textBytes, high, low).equals(buffer.subarray(tagAt, tagAt + TAG_BYTES));
  }

  destroy(): void {
    this.#key = new Uint8Array(0);
  }

  #tag(buffer: Uint8Array, at: number, bytes: number, high: number, low: number): Buffer {
    const hash = createHash("sha256")
      .update(this.#key)
      .update(`${high}.${low}`)
      .update(buffer.subarray(at, at + bytes));
    return hash.digest().subarray(0, TAG_BYTES);
  }
}

class TagAead implements Aead {
  /** In the order in which they were made; the first one seals. */
  readonly keys: TagKey[] = [];

  newKey(): TagKey {
    const key = new TagKey();
    this.keys.push(key);
    return key;
  }

  derive(key: Uint8Array, info: string, bytes: number): Uint8Array {
    return createHash("sha256").update(key).update(info).digest().subarray(0, bytes);
  }
}

interface End {
  readonly channel: SecureChannel;
  readonly aead: TagAead;
}

function end(nodeId: number, incarnation: bigint, random: Random): End {
  const aead = new TagAead();
  const channel = new SecureChannel({
    aead,
    random: (out) => {
      for (let i = 0; i < out.length; i++) out[i] = random.integer(0, 255);
    },
    clusterKeys: [KEY],
    cluster: "front",
    nodeId,
    incarnation,
    peers: [PEER, SELF],
  });
  return { channel, aead };
}

/** Pairs of place and change; a place beyond the end cuts or lengthens. */
function changed(sealed: Uint8Array, changes: Uint8Array): Buffer {
  let bytes = Buffer.from(sealed);
  for (let at = 0; at + 1 < changes.length; at += 2) {
    const place = changes[at] ?? 0;
    const change = changes[at + 1] ?? 0;
    if (place < bytes.length) bytes[place] = (bytes[place] ?? 0) ^ change;
    else if (change < 128) bytes = bytes.subarray(0, Math.max(0, bytes.length - change));
    else bytes = Buffer.concat([bytes, Buffer.alloc(change - 127)]);
  }
  return bytes;
}

/** What holds whatever comes: only what was sealed is delivered, as it was sealed, and once. */
class Scene {
  readonly #random = new Random(1);
  #now_ms = 1000;
  #lives = 5n;
  #isHeard = true;
  #peer = end(PEER, 5n, this.#random);
  #self = end(SELF, 5n, this.#random);
  /** What had the key's seal, and its plain text. */
  readonly #sealed = new Map<string, string>();
  readonly #delivered = new Set<string>();
  readonly #recorded: Buffer[] = [];
  readonly violations: string[] = [];
  readonly outcomes = new Set<string>();

  /** `isHeard`: what the receiver answers reaches the peer. */
  event(mode: Mode, isHeard: boolean, b: number, bytes: Uint8Array): void {
    this.#isHeard = isHeard;
    this.#now_ms += b;
    if (mode === "raw") this.#deliver(mode, Buffer.from(bytes));
    else if (mode === "sealed") this.#deliver(mode, this.#seal(bytes));
    else if (mode === "again") this.#deliver(mode, this.#recorded[b % this.#recorded.length] ?? Buffer.alloc(0));
    else if (mode === "changed") this.#deliver(mode, changed(this.#seal(PLAIN), bytes));
    else if (mode === "crafted") this.#deliver(mode, this.#craft(bytes));
    else if (mode === "peerRestarts") this.#peer = end(PEER, this.#nextLife(bytes), this.#random);
    else this.#self = end(SELF, this.#nextLife(bytes), this.#random);
  }

  #nextLife(bytes: Uint8Array): bigint {
    this.#lives += 1n;
    // A clock that was set back.
    return bytes.length === 0 ? this.#lives : 1_000_000n - this.#lives;
  }

  #seal(plain: Uint8Array): Buffer {
    const datagram = this.#peer.channel.seal(SELF, plain);
    this.#remember(datagram, plain);
    return datagram;
  }

  #remember(datagram: Buffer, plain: Uint8Array): void {
    this.#sealed.set(datagram.toString("hex"), Buffer.from(plain).toString("hex"));
  }

  /** With the peer's own subkey: a kind, and a body of any length and content. */
  #craft(bytes: Uint8Array): Buffer {
    const body = bytes.subarray(1);
    const whole = this.#peer.channel.seal(SELF, new Uint8Array(0));
    const datagram = Buffer.concat([whole.subarray(0, HEADER_BYTES), body, Buffer.alloc(TAG_BYTES)]);
    const kind = bytes[0] ?? 0;
    datagram[OFFSET_KIND] = kind;
    const [high, low] = [datagram.readUInt32BE(OFFSET_COUNTER), datagram.readUInt32BE(OFFSET_COUNTER + 4)];
    this.#peer.aead.keys[0]?.seal(datagram, 0, HEADER_BYTES, body.length, high, low);
    this.#remember(datagram, body.subarray(0, Math.max(0, body.length - (kind >> 2))));
    return datagram;
  }

  #deliver(mode: Mode, datagram: Buffer): void {
    let reply = this.#open(mode, datagram);
    for (let i = 0; i < HANDSHAKES_MAX && reply !== undefined && this.#isHeard; i++) {
      const answer = this.#peer.channel.open(this.#now_ms, Buffer.from(reply));
      reply = answer.ok || answer.reply === undefined ? undefined : this.#open(mode, Buffer.from(answer.reply));
      if (i === HANDSHAKES_MAX - 1 && reply !== undefined) this.violations.push("handshakes have no end");
    }
  }

  #open(mode: Mode, datagram: Buffer): Uint8Array | undefined {
    this.#recorded.push(datagram);
    const result = this.#self.channel.open(this.#now_ms, Buffer.from(datagram));
    if (result.ok) this.#checkDelivery(datagram, result);
    this.outcomes.add(`${mode} ${result.ok ? "opened" : result.cause}`);
    if (result.ok) return undefined;
    if (result.reply !== undefined && result.reply.length > datagram.length) {
      this.violations.push("a handshake is larger than what it answers");
    }
    // It is overwritten by the next call.
    return result.reply === undefined ? undefined : Uint8Array.from(result.reply);
  }

  #checkDelivery(datagram: Buffer, result: Extract<OpenResult, { ok: true }>): void {
    const name = datagram.toString("hex");
    if (this.#delivered.has(name)) this.violations.push("a datagram was delivered twice");
    this.#delivered.add(name);
    const plain = this.#sealed.get(name);
    if (plain === undefined) this.violations.push("a datagram that nobody sealed was delivered");
    else if (plain !== Buffer.from(result.plain).toString("hex")) this.violations.push("another text was delivered");
    if (result.from !== PEER) this.violations.push("another sender was told");
    decode(result.plain);
  }
}

function event(mode: Mode, b: number, bytes: Uint8Array): Uint8Array {
  return frame(MODES.indexOf(mode), b, bytes);
}

function unheardAgain(at: number): Uint8Array {
  return frame(MODES.indexOf("again") | UNHEARD, at, new Uint8Array(0));
}

function seedRows(): Uint8Array[] {
  const nothing = new Uint8Array(0);
  const greet = event("sealed", 10, PLAIN);
  const broken = Buffer.from(end(PEER, 4n, new Random(2)).channel.seal(SELF, PLAIN));
  broken.fill(0, broken.length - TAG_BYTES);
  const restarts = [
    event("selfRestarts", 1, nothing),
    event("again", 1, nothing),
    greet,
    event("peerRestarts", 9, nothing),
    greet,
  ];
  return [
    event("raw", 1, broken),
    event("raw", 1, new Uint8Array(SEAL_OVERHEAD_BYTES + 32)),
    ...MESSAGES.map((message) => row(greet, event("sealed", 1, encode(message)))),
    row(greet, greet, event("again", 2, nothing), ...restarts, event("again", 1, nothing)),
    row(greet, greet, event("selfRestarts", 1, nothing), ...[0, 1, 2, 3].map((at) => unheardAgain(at))),
    row(greet, event("changed", 1, Uint8Array.of(0, 0)), event("changed", 1, Uint8Array.of(12, 1, 80, 3))),
    row(greet, event("crafted", 6, Uint8Array.of(1, ...new Uint8Array(32).fill(9))), greet),
    row(greet, event("crafted", 6, Uint8Array.of(0x82, ...new Uint8Array(40)))),
  ];
}

export const datagram: Target = {
  name: "datagram",
  covers: /\/lib\/raincore\/(secureChannel|replayWindow)\./,
  bytesMax: 4096,
  // Two channels at first, and two more for every pair of restarts.
  limits: { countedPerByte: 1024, countedBytes: 256 * 1024, heapPerByte: 8192, heapBytes: 4 * 1024 * 1024 },
  seeds: seedRows,
  decode(input) {
    const scene = new Scene();
    for (const { a, b, bytes } of readFrames(input)) {
      scene.event(MODES[(a & ~UNHEARD) % MODES.length] ?? "raw", (a & UNHEARD) === 0, b, bytes);
    }
    return scene;
  },
  check(answer) {
    const { violations, outcomes } = answer as Scene;
    const [first] = violations;
    if (first !== undefined) throw new Violation(first);
    return [...outcomes].sort().at(-1) ?? "nothing";
  },
};
