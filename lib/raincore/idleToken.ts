// The token of an idle round, handed on as bytes. Nearly all tokens come back as they were sent, but for where they are in their life; finding
// that out by comparing bytes, and stamping them, costs a fraction of decoding, visiting and encoding, and a ring at rest does little else.
// Used by idleRound.ts.
import { QUIET_TOKEN_CODE, TOKEN_CODE } from "./messages.js";
import { successorOf, type Token, type ViewId } from "./token.js";

// The layout that messages.ts writes; a test holds the two together.
const TYPE_AT = 0;
const VIEW_AT = 1;
const SEQ_AT = 7;
const HURRY_AT = 11;
const RESTED_AT = 13;
const COUNT_AT = 21;
const MEMBERS_AT = 23;
const MEMBER_BYTES = 24;
/** In a member's record: what comes before is the same in every round. */
const PASSED_AT = 16;

/** What changes when a member hands an idle token on. */
export interface Stamp {
  readonly seq: number;
  readonly passed_ms: number;
  /** Undefined: it stays as it is. */
  readonly rested_ms: number | undefined;
  readonly isQuiet: boolean;
}

export class IdleToken {
  readonly view: ViewId;
  /** nodeId. */
  readonly successor: number;
  /** This node is where the token rests. */
  readonly isFirst: boolean;
  readonly #bytes: Buffer;
  readonly #members: number;
  readonly #own: number;

  /** Undefined if what was sent is no token of an idle round: somebody has not passed it on yet, or it is in a hurry. */
  static of(sent: Token, bytes: Uint8Array, self: number): IdleToken | undefined {
    const own = sent.members.findIndex((member) => member.nodeId === self);
    const next = successorOf(sent, self);
    const isSettled = sent.members.every((member) => member.ready && member.passed_ms !== undefined);
    if (own < 0 || next === undefined || !isSettled) return undefined;
    return new IdleToken(sent, bytes, own, next.nodeId);
  }

  private constructor(sent: Token, bytes: Uint8Array, own: number, successor: number) {
    this.view = { epoch: sent.epoch, origin: sent.origin };
    this.successor = successor;
    this.isFirst = own === 0;
    this.#bytes = asBuffer(bytes);
    this.#members = sent.members.length;
    this.#own = MEMBERS_AT + own * MEMBER_BYTES;
  }

  /** Whether these bytes are that token again, not in a hurry: nothing in it asks this node to do anything. */
  matches(bytes: Uint8Array): boolean {
    const b = asBuffer(bytes);
    if (b.length !== this.#bytes.length || b.readUInt16BE(HURRY_AT) !== 0) return false;
    if (
      !isTokenCode(b.readUInt8(TYPE_AT)) ||
      !this.#isSame(b, VIEW_AT, SEQ_AT) ||
      !Number.isFinite(b.readDoubleBE(RESTED_AT))
    )
      return false;
    if (!this.#isSame(b, COUNT_AT, MEMBERS_AT)) return false;
    for (let member = 0; member < this.#members; member++) {
      const at = MEMBERS_AT + member * MEMBER_BYTES;
      if (!this.#isSame(b, at, at + PASSED_AT) || !Number.isFinite(b.readDoubleBE(at + PASSED_AT))) return false;
    }
    return this.#isSame(b, MEMBERS_AT + this.#members * MEMBER_BYTES, b.length);
  }

  /** Whether bytes that match need no answer. */
  isQuiet(bytes: Uint8Array): boolean {
    return bytes[TYPE_AT] === QUIET_TOKEN_CODE;
  }

  /** Of bytes that match. */
  seqOf(bytes: Uint8Array): number {
    return asBuffer(bytes).readUInt32BE(SEQ_AT);
  }

  /** When this node last sent it, by the bytes that match. */
  passedOf(bytes: Uint8Array): number {
    return asBuffer(bytes).readDoubleBE(this.#own + PASSED_AT);
  }

  /** A copy with another seq, as taken by this node. */
  taken(bytes: Uint8Array, seq: number): Uint8Array {
    const copy = Buffer.from(bytes);
    copy.writeUInt32BE(seq, SEQ_AT);
    return copy;
  }

  /** A copy as handed on by this node. */
  stamped(bytes: Uint8Array, { seq, passed_ms, rested_ms, isQuiet }: Stamp): Uint8Array {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(isQuiet ? QUIET_TOKEN_CODE : TOKEN_CODE, TYPE_AT);
    copy.writeUInt32BE(seq, SEQ_AT);
    copy.writeDoubleBE(passed_ms, this.#own + PASSED_AT);
    if (rested_ms !== undefined) copy.writeDoubleBE(rested_ms, RESTED_AT);
    return copy;
  }

  #isSame(bytes: Buffer, from: number, to: number): boolean {
    return this.#bytes.compare(bytes, from, to, from, to) === 0;
  }
}

function isTokenCode(code: number): boolean {
  return code === TOKEN_CODE || code === QUIET_TOKEN_CODE;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
