// The multicast carriage's bytes: a head, what every member has of the order, and the records themselves, one behind the
// other. Used by Multicast only. All numbers are big endian:
//   top u64 (below 2^53), records u16, members u16
//   members x { nodeId u16, behind u16 (top - its highest order received), sent u32, waiting u32 }
//   records x { length u16, flags u8, sender u16, epoch u32, origin u16, [message length u32, in a first chunk], bytes }
// Orders are consecutive: the last record has order `top`. A record's view never is older than that of the one before.
import { MEMBERS_MAX, type ViewId } from "../token.js";

export const MULTICAST_FORMAT = 1;
/** Of one message, however it travels. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** Of one record's message bytes. */
export const CHUNK_BYTES_MAX = 32 * 1024;
export const RECORD_HEAD_BYTES = 11;
/** A first chunk also says how long its message is. */
export const FIRST_CHUNK_HEAD_BYTES = RECORD_HEAD_BYTES + 4;

export const FLAG_SAFE = 1;
export const FLAG_FIRST = 2;
export const FLAG_LAST = 4;
const FLAGS = FLAG_SAFE | FLAG_FIRST | FLAG_LAST;
const FLAGS_WHOLE = FLAG_FIRST | FLAG_LAST;

const HEAD_BYTES = 12;
const MEMBER_BYTES = 12;
/** What the records of a carriage have to leave free, however many members come. */
export const HEAD_BYTES_MAX = HEAD_BYTES + MEMBERS_MAX * MEMBER_BYTES;
const TWO_32 = 0x1_0000_0000;
/** 2^53 orders last 28 years at ten million messages a second: they never wrap, and a double counts them exactly. */
const TOP_HIGH_MAX = 0x1f_ffff;

/** What the token knows of one member. */
export interface MemberEntry {
  readonly nodeId: number;
  /** The highest order that it has received. */
  upTo: number;
  /** How many records it has put on since it came in, modulo 2^32. */
  sent: number;
  /** Bytes that it could not put on at its last visit. */
  waiting: number;
}

export interface Carriage {
  readonly bytes: Uint8Array;
  readonly data: DataView;
  readonly top: number;
  readonly members: readonly MemberEntry[];
  readonly count: number;
  /** Where each record begins; one more says where the last one ends. */
  readonly offsets: Uint32Array;
}

/** A record's head, refilled for each record of a walk. */
export interface RecordHead {
  flags: number;
  sender: number;
  epoch: number;
  origin: number;
  /** Of the whole message. */
  messageBytes: number;
  bodyAt: number;
  bodyBytes: number;
}

/** Bytes of an own message that go on the token as one record. */
export interface Piece {
  readonly source: Uint8Array;
  readonly from: number;
  readonly to: number;
  readonly flags: number;
}

export function emptyCarriage(top: number): Carriage {
  const bytes = new Uint8Array(0);
  return { bytes, data: new DataView(bytes.buffer), top, members: [], count: 0, offsets: Uint32Array.of(0) };
}

export function newRecordHead(): RecordHead {
  return { flags: 0, sender: 0, epoch: 0, origin: 0, messageBytes: 0, bodyAt: 0, bodyBytes: 0 };
}

export function isWhole(flags: number): boolean {
  return (flags & FLAGS_WHOLE) === FLAGS_WHOLE;
}

/** Whether these are a carriage without records at `top`: all that an idle visit needs to know. */
export function isIdleAt(bytes: Uint8Array, top: number): boolean {
  if (bytes.length < HEAD_BYTES) return false;
  const data = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES);
  return data.getUint16(8) === 0 && data.getUint32(0) * TWO_32 + data.getUint32(4) === top;
}

/** Undefined: these bytes are no multicast carriage. Whatever comes back has been checked to its last byte. */
export function scanCarriage(bytes: Uint8Array): Carriage | undefined {
  if (bytes.length < HEAD_BYTES) return undefined;
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const high = data.getUint32(0);
  const top = high * TWO_32 + data.getUint32(4);
  const count = data.getUint16(8);
  const memberCount = data.getUint16(10);
  const recordsAt = HEAD_BYTES + memberCount * MEMBER_BYTES;
  if (high > TOP_HIGH_MAX || count > top || memberCount > MEMBERS_MAX) return undefined;
  if (recordsAt + count * RECORD_HEAD_BYTES > bytes.length) return undefined;
  const members = scanMembers(data, memberCount, top, count);
  const offsets = members && scanRecords(data, recordsAt, count);
  return offsets && { bytes, data, top, members, count, offsets };
}

function scanMembers(data: DataView, memberCount: number, top: number, count: number): MemberEntry[] | undefined {
  const members: MemberEntry[] = [];
  const nodeIds = new Set<number>();
  for (let i = 0; i < memberCount; i++) {
    const at = HEAD_BYTES + i * MEMBER_BYTES;
    const nodeId = data.getUint16(at);
    const behind = data.getUint16(at + 2);
    if (nodeId === 0 || behind > count) return undefined;
    nodeIds.add(nodeId);
    members.push({ nodeId, upTo: top - behind, sent: data.getUint32(at + 4), waiting: data.getUint32(at + 8) });
  }
  return nodeIds.size === memberCount ? members : undefined;
}

function scanRecords(data: DataView, recordsAt: number, count: number): Uint32Array | undefined {
  const end = data.byteLength;
  const offsets = new Uint32Array(count + 1);
  let at = recordsAt;
  let epoch = 0;
  let origin = 0;
  for (let i = 0; i < count; i++) {
    offsets[i] = at;
    if (at + RECORD_HEAD_BYTES > end) return undefined;
    const length = data.getUint16(at);
    const flags = data.getUint8(at + 2);
    const recordEpoch = data.getUint32(at + 5);
    const recordOrigin = data.getUint16(at + 9);
    if (length > CHUNK_BYTES_MAX || flags > FLAGS || data.getUint16(at + 3) === 0) return undefined;
    if (recordEpoch < epoch || (recordEpoch === epoch && recordOrigin < origin)) return undefined;
    epoch = recordEpoch;
    origin = recordOrigin;
    const headBytes = headBytesOf(flags);
    if (at + headBytes + length > end) return undefined;
    if (headBytes === FIRST_CHUNK_HEAD_BYTES && !isChunkOf(data.getUint32(at + RECORD_HEAD_BYTES), length)) {
      return undefined;
    }
    at += headBytes + length;
  }
  offsets[count] = at;
  return at === end ? offsets : undefined;
}

function headBytesOf(flags: number): number {
  return (flags & FLAGS_WHOLE) === FLAG_FIRST ? FIRST_CHUNK_HEAD_BYTES : RECORD_HEAD_BYTES;
}

function isChunkOf(messageBytes: number, length: number): boolean {
  return length < messageBytes && messageBytes <= MESSAGE_BYTES_MAX;
}

export function readRecord(carriage: Carriage, index: number, into: RecordHead): void {
  const { data, offsets } = carriage;
  const at = offsets[index] ?? 0;
  const headBytes = headBytesOf(data.getUint8(at + 2));
  into.bodyBytes = data.getUint16(at);
  into.flags = data.getUint8(at + 2);
  into.sender = data.getUint16(at + 3);
  into.epoch = data.getUint32(at + 5);
  into.origin = data.getUint16(at + 9);
  into.messageBytes = headBytes === FIRST_CHUNK_HEAD_BYTES ? data.getUint32(at + RECORD_HEAD_BYTES) : into.bodyBytes;
  into.bodyAt = at + headBytes;
}

/** The order before that of the carriage's first record. */
export function baseOf(carriage: Carriage): number {
  return carriage.top - carriage.count;
}

/** Whether one of the first `count` records is to be delivered only when all have it. */
export function hasSafe({ data, offsets }: Carriage, count: number): boolean {
  for (let index = 0; index < count; index++) {
    if ((data.getUint8((offsets[index] ?? 0) + 2) & FLAG_SAFE) !== 0) return true;
  }
  return false;
}

export interface CarriageContent {
  readonly top: number;
  readonly members: readonly MemberEntry[];
  /** Records that stay, as they are: those of `carriage` from this one on. */
  readonly carriage: Carriage;
  readonly keptFrom: number;
  readonly added: readonly Piece[];
  readonly sender: number;
  readonly view: ViewId;
}

export function encodeCarriage(content: CarriageContent): Uint8Array {
  const { top, members, carriage, keptFrom, added } = content;
  const kept = carriage.bytes.subarray(carriage.offsets[keptFrom], carriage.offsets[carriage.count]);
  const recordsAt = HEAD_BYTES + members.length * MEMBER_BYTES;
  const bytes = new Uint8Array(recordsAt + kept.length + piecesBytes(added));
  const data = new DataView(bytes.buffer);
  data.setUint32(0, Math.floor(top / TWO_32));
  data.setUint32(4, top % TWO_32);
  data.setUint16(8, carriage.count - keptFrom + added.length);
  data.setUint16(10, members.length);
  let at = HEAD_BYTES;
  for (const { nodeId, upTo, sent, waiting } of members) {
    data.setUint16(at, nodeId);
    data.setUint16(at + 2, top - upTo);
    data.setUint32(at + 4, sent);
    data.setUint32(at + 8, waiting);
    at += MEMBER_BYTES;
  }
  bytes.set(kept, recordsAt);
  at = recordsAt + kept.length;
  for (const piece of added) at = writePiece(bytes, data, at, piece, content);
  return bytes;
}

function writePiece(bytes: Uint8Array, data: DataView, at: number, piece: Piece, content: CarriageContent): number {
  const { source, from, to, flags } = piece;
  const headBytes = headBytesOf(flags);
  data.setUint16(at, to - from);
  data.setUint8(at + 2, flags);
  data.setUint16(at + 3, content.sender);
  data.setUint32(at + 5, content.view.epoch);
  data.setUint16(at + 9, content.view.origin);
  if (headBytes === FIRST_CHUNK_HEAD_BYTES) data.setUint32(at + RECORD_HEAD_BYTES, source.length);
  bytes.set(from === 0 && to === source.length ? source : source.subarray(from, to), at + headBytes);
  return at + headBytes + to - from;
}

function piecesBytes(pieces: readonly Piece[]): number {
  let sum = 0;
  for (const { from, to, flags } of pieces) sum += headBytesOf(flags) + to - from;
  return sum;
}
