// What the nodes say to each other, and its bytes. Decoding is bounded and never throws: the answer is a message or the
// cause for which it was refused.
import type { Carriage, Group, MemberRecord, Token, TokenId, ViewId } from "./token.js";
import { CARRIAGE_NAME_CHARS_MAX, CARRIAGES_MAX, isCarriageName, MEMBERS_MAX, TOKEN_BYTES_MAX } from "./token.js";
import {
  HAVE_CODE,
  type HaveMessage,
  PART_CODE,
  type PartMessage,
  readHave,
  readPart,
  writeHave,
  writePart,
} from "./transport/packets.js";
import { Reader, WireError, Writer } from "./wire.js";

/**
 * Why a hand-over was refused. `older`: the refuser has seen a newer token; `absent`: it is not the member addressed;
 * `diverged`: the token does not descend from the one that the refuser last sent, so it comes from another group.
 */
export type NackReason = "older" | "absent" | "diverged";

/**
 * The answer to a 911. `absent`: in no group; `removed`: the caller is not in the answerer's (newer) view; `diverged`:
 * the caller's copy does not descend from the token that the answerer has or last sent.
 */
export type Verdict = "grant" | "deny" | "absent" | "removed" | "diverged";

export interface TokenMessage {
  readonly type: "token";
  readonly token: Token;
  /** Answered only by a refusal, or if it has come before. */
  readonly quiet?: true;
}

export interface AckMessage {
  readonly type: "ack";
  readonly id: TokenId;
}

export interface NackMessage {
  readonly type: "nack";
  /** The token that was refused. */
  readonly id: TokenId;
  readonly reason: NackReason;
  /** The newest token that the refuser has seen. */
  readonly newest: TokenId;
  /** Whether the node that is told so is in the refuser's view. */
  readonly listed: boolean;
  readonly group: Group;
}

export interface CallMessage {
  readonly type: "call";
  readonly round: number;
  readonly copy: TokenId;
  /** When the node that is asked last sent the token on (own clock), as far as the caller's copy tells. */
  readonly passed_ms: number | undefined;
}

export interface AnswerMessage {
  readonly type: "answer";
  readonly round: number;
  readonly verdict: Verdict;
  /** The greatest epoch that the answerer has seen. */
  readonly epoch: number;
  /** The answerer's own clock when it answered; its lease counts from there if the call leads to a new token. */
  readonly answered_ms: number;
  readonly group: Group;
}

/** The 911 of a node that is in no group (the patent's add request). */
export interface JoinMessage {
  readonly type: "join";
  readonly incarnation: bigint;
  readonly session: number;
  readonly epoch: number;
  /** Who asks as well, as far as the sender has heard; of the node that is told so, at least. */
  readonly heard: readonly Asker[];
}

/** A node that asks to come in, in one of its attempts. */
export interface Asker {
  readonly nodeId: number;
  readonly incarnation: bigint;
  readonly session: number;
}

export interface BeaconMessage {
  readonly type: "beacon";
  /** The sender's clock. */
  readonly sent_ms: number;
  /** `sent_ms` of the last beacon that the sender has heard from the receiver; 0 = none. */
  readonly echo_ms: number;
  readonly group: Group;
}

/** A member without the token has work: it shall not rest. Answered by nothing; who does not hold it ignores it. */
export interface WakeMessage {
  readonly type: "wake";
  readonly view: ViewId;
}

export type Message =
  | TokenMessage
  | AckMessage
  | NackMessage
  | CallMessage
  | AnswerMessage
  | JoinMessage
  | BeaconMessage
  | WakeMessage
  | PartMessage
  | HaveMessage;

export type DecodeResult =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly cause: "unknown_type" | "malformed" };

export const TOKEN_CODE = 1;
export const QUIET_TOKEN_CODE = 11;
const TYPE_CODES = {
  token: TOKEN_CODE,
  ack: 2,
  nack: 3,
  call: 4,
  answer: 5,
  join: 6,
  beacon: 7,
  wake: 8,
  part: PART_CODE,
  have: HAVE_CODE,
} as const;
const TOKEN_HEAD_BYTES = 25;
const MEMBER_RECORD_BYTES_MAX = 24;
const CARRIAGE_HEAD_BYTES_MAX = 11 + CARRIAGE_NAME_CHARS_MAX;
const NACK_REASONS: readonly NackReason[] = ["older", "absent", "diverged"];
const VERDICTS: readonly Verdict[] = ["grant", "deny", "absent", "removed", "diverged"];

export function encode(message: Message): Uint8Array {
  const w = message.type === "token" ? new Writer(tokenBytesMost(message.token)) : new Writer();
  w.u8(message.type === "token" && message.quiet ? QUIET_TOKEN_CODE : TYPE_CODES[message.type]);
  switch (message.type) {
    case "token":
      writeToken(w, message.token);
      break;
    case "ack":
      writeTokenId(w, message.id);
      break;
    case "nack":
      writeTokenId(w, message.id);
      w.u8(NACK_REASONS.indexOf(message.reason));
      writeTokenId(w, message.newest);
      w.u8(message.listed ? 1 : 0);
      writeGroup(w, message.group);
      break;
    case "call":
      w.u32(message.round);
      writeTokenId(w, message.copy);
      writeOptional_ms(w, message.passed_ms);
      break;
    case "answer":
      w.u32(message.round).u8(VERDICTS.indexOf(message.verdict));
      w.u32(message.epoch).f64(message.answered_ms);
      writeGroup(w, message.group);
      break;
    case "join":
      w.u64(message.incarnation).u32(message.session).u32(message.epoch).u16(message.heard.length);
      for (const asker of message.heard) w.u16(asker.nodeId).u64(asker.incarnation).u32(asker.session);
      break;
    case "beacon":
      writeGroup(w.f64(message.sent_ms).f64(message.echo_ms), message.group);
      break;
    case "wake":
      writeViewId(w, message.view);
      break;
    case "part":
      writePart(w, message);
      break;
    case "have":
      writeHave(w, message);
      break;
    default:
      message satisfies never;
  }
  return w.finish();
}

/** `isOwned`: nobody will write to these bytes any more; a token's carriages are then views into them. */
export function decode(bytes: Uint8Array, isOwned = false): DecodeResult {
  try {
    const r = new Reader(bytes, isOwned);
    const message = readMessage(r);
    if (message === undefined) return { ok: false, cause: "unknown_type" };
    r.end();
    return { ok: true, message };
  } catch (error) {
    if (error instanceof WireError) return { ok: false, cause: "malformed" };
    throw error;
  }
}

function readMessage(r: Reader): Message | undefined {
  switch (r.u8()) {
    case TYPE_CODES.token:
      return { type: "token", token: readToken(r) };
    case QUIET_TOKEN_CODE:
      return { type: "token", token: readToken(r), quiet: true };
    case TYPE_CODES.ack:
      return { type: "ack", id: readTokenId(r) };
    case TYPE_CODES.nack:
      return {
        type: "nack",
        id: readTokenId(r),
        reason: oneOf(NACK_REASONS, r.u8()),
        newest: readTokenId(r),
        listed: r.flag(),
        group: readGroup(r),
      };
    case TYPE_CODES.call:
      return { type: "call", round: r.u32(), copy: readTokenId(r), passed_ms: readOptional_ms(r) };
    case TYPE_CODES.answer:
      return {
        type: "answer",
        round: r.u32(),
        verdict: oneOf(VERDICTS, r.u8()),
        epoch: r.u32(),
        answered_ms: r.f64(),
        group: readGroup(r),
      };
    case TYPE_CODES.join:
      return { type: "join", incarnation: r.u64(), session: r.u32(), epoch: r.u32(), heard: readAskers(r) };
    case TYPE_CODES.beacon:
      return { type: "beacon", sent_ms: r.f64(), echo_ms: r.f64(), group: readGroup(r) };
    case TYPE_CODES.wake:
      return { type: "wake", view: readViewId(r) };
    case TYPE_CODES.part:
      return readPart(r);
    case TYPE_CODES.have:
      return readHave(r);
    default:
      return undefined;
  }
}

function oneOf<T>(values: readonly T[], index: number): T {
  const value = values[index];
  if (value === undefined) throw new WireError("no such value");
  return value;
}

function writeViewId(w: Writer, id: ViewId): void {
  w.u32(id.epoch).u16(id.origin);
}

function readViewId(r: Reader): ViewId {
  return { epoch: r.u32(), origin: r.u16() };
}

function writeTokenId(w: Writer, id: TokenId): void {
  writeViewId(w, id);
  w.u32(id.seq);
}

function readTokenId(r: Reader): TokenId {
  return { ...readViewId(r), seq: r.u32() };
}

function readAskers(r: Reader): Asker[] {
  const count = r.count(MEMBERS_MAX);
  return Array.from({ length: count }, () => ({ nodeId: r.u16(), incarnation: r.u64(), session: r.u32() }));
}

function writeGroup(w: Writer, group: Group): void {
  writeViewId(w, group);
  w.u16(group.nodeIds.length);
  for (const nodeId of group.nodeIds) w.u16(nodeId);
}

function readGroup(r: Reader): Group {
  return { ...readViewId(r), nodeIds: Array.from({ length: r.count(MEMBERS_MAX) }, () => r.u16()) };
}

function writeOptional_ms(w: Writer, value_ms: number | undefined): void {
  w.u8(value_ms === undefined ? 0 : 1);
  if (value_ms !== undefined) w.f64(value_ms);
}

function readOptional_ms(r: Reader): number | undefined {
  return r.flag() ? r.f64() : undefined;
}

/** So that a token of 100 KiB is written to memory that was taken once. */
function tokenBytesMost({ members, carriages }: Token): number {
  const heads =
    TOKEN_HEAD_BYTES + members.length * MEMBER_RECORD_BYTES_MAX + carriages.length * CARRIAGE_HEAD_BYTES_MAX;
  return carriages.reduce((sum, { bytes }) => sum + bytes.length, heads);
}

function writeToken(w: Writer, token: Token): void {
  writeTokenId(w, token);
  w.u16(token.hurry).f64(token.rested_ms).u16(token.members.length);
  for (const member of token.members) {
    w.u16(member.nodeId)
      .u64(member.incarnation)
      .u32(member.session)
      .u8(member.ready ? 1 : 0);
    writeOptional_ms(w, member.passed_ms);
  }
  w.u16(token.carriages.length);
  for (const carriage of token.carriages)
    w.text(carriage.name).u8(carriage.format).u32(carriage.version).longBytes(carriage.bytes);
}

function readToken(r: Reader): Token {
  const id = readTokenId(r);
  const hurry = r.count(MEMBERS_MAX);
  const rested_ms = r.f64();
  const members = Array.from({ length: r.count(MEMBERS_MAX) }, () => readMember(r));
  const carriages = Array.from({ length: r.count(CARRIAGES_MAX) }, () => readCarriage(r));
  if (hasDuplicates(members.map((member) => member.nodeId))) throw new WireError("a member twice");
  if (hasDuplicates(carriages.map((carriage) => carriage.name))) throw new WireError("a carriage twice");
  return { ...id, hurry, rested_ms, members, carriages };
}

function readMember(r: Reader): MemberRecord {
  const nodeId = r.u16();
  if (nodeId === 0) throw new WireError("nodeId 0");
  const incarnation = r.u64();
  const session = r.u32();
  const ready = r.flag();
  return { nodeId, incarnation, session, ready, passed_ms: readOptional_ms(r) };
}

function readCarriage(r: Reader): Carriage {
  const name = r.text(CARRIAGE_NAME_CHARS_MAX);
  if (!isCarriageName(name)) throw new WireError("not a carriage's name");
  return { name, format: r.u8(), version: r.u32(), bytes: r.longBytes(TOKEN_BYTES_MAX) };
}

function hasDuplicates(values: readonly (number | string)[]): boolean {
  return new Set(values).size !== values.length;
}
