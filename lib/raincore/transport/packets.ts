// The two packets of the transport and their bytes: a part of a message, and what the receiver has of it. Decoding checks
// everything that can be seen from the packet alone. Used by messages.ts (its types 9 and 10) and by the sender.
import { type Reader, WireError, Writer } from "../wire.js";
import { ID_WINDOW, MESSAGE_BYTES_MAX, PART_BYTES_MIN, PART_HEAD_BYTES, SPAN_PARTS } from "./limits.js";

export const PART_CODE = 9;
export const HAVE_CODE = 10;

/** The token's messages have ids of their own and go first. */
export type Priority = "bulk" | "token";

/** `busy`: there is no room for it now. */
export type HaveStatus = "partial" | "complete" | "busy";

export interface PartMessage {
  readonly type: "part";
  readonly priority: Priority;
  /** The sender has nothing to add before it hears what has arrived. */
  readonly asks: boolean;
  /** The sender's incarnation: ids are told apart within it. */
  readonly life: bigint;
  readonly id: number;
  /** All ids before this one are settled: delivered, or given up. */
  readonly floor: number;
  /** Of the whole message. */
  readonly total: number;
  /** Of every part but the last. */
  readonly partBytes: number;
  readonly index: number;
  /** How often this part was sent, 1..255; an answer names it, so that its round trip is beyond doubt. */
  readonly attempt: number;
  readonly body: Uint8Array;
}

export interface HaveMessage {
  readonly type: "have";
  readonly priority: Priority;
  readonly status: HaveStatus;
  /** The incarnation of the node that has it, and of the one that sent it. */
  readonly life: bigint;
  readonly senderLife: bigint;
  readonly id: number;
  /** Grows whenever the receiver begins to collect a message: what it has is told apart from what it had. */
  readonly collection: number;
  /** The part that this answers at once; attempt 0: it waited, so it measures nothing. */
  readonly echoIndex: number;
  readonly echoAttempt: number;
  /** All parts before this one are here. */
  readonly base: number;
  /** The parts from there on, lowest bit first. */
  readonly bits: Uint8Array;
}

export function partCount(total: number, partBytes: number): number {
  return Math.max(1, Math.ceil(total / partBytes));
}

const PRIORITIES: readonly Priority[] = ["bulk", "token"];
const STATUSES: readonly HaveStatus[] = ["partial", "complete", "busy"];
const FLAG_ASKS = 2;
const FLAGS_MAX = 3;
const FLAGS_AT = 1;

/** What all parts of one message have in common. */
export type PartHead = Pick<PartMessage, "priority" | "life" | "id" | "total" | "partBytes">;

const ARENA_BYTES = 64 * 1024;

/** Hands out memory for packets from larger pieces: one allocation for a burst of them. */
export class PacketArena {
  #view = new DataView(new ArrayBuffer(0));
  #used = 0;

  /** One part of `source` as a datagram: its bytes are copied once, from the message into the packet. */
  part(head: PartHead, floor: number, index: number, attempt: number, source: Uint8Array): Uint8Array {
    const from = index * head.partBytes;
    const bodyLength = Math.min(head.partBytes, head.total - from);
    const at = this.#reserve(PART_HEAD_BYTES + bodyLength);
    const view = this.#view;
    view.setUint8(at, PART_CODE);
    view.setUint8(at + FLAGS_AT, PRIORITIES.indexOf(head.priority));
    view.setBigUint64(at + 2, head.life);
    view.setUint32(at + 10, head.id);
    view.setUint32(at + 14, floor);
    view.setUint32(at + 18, head.total);
    view.setUint16(at + 22, head.partBytes);
    view.setUint16(at + 24, index);
    view.setUint8(at + 26, attempt);
    const packet = new Uint8Array(view.buffer, at, PART_HEAD_BYTES + bodyLength);
    packet.set(source.subarray(from, from + bodyLength), PART_HEAD_BYTES);
    return packet;
  }

  #reserve(count: number): number {
    if (this.#used + count > this.#view.byteLength) {
      this.#view = new DataView(new ArrayBuffer(Math.max(ARENA_BYTES, count)));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += count;
    return at;
  }
}

/** In a packet that was encoded but not handed on yet. */
export function markAsking(packet: Uint8Array): void {
  packet[FLAGS_AT] = (packet[FLAGS_AT] ?? 0) | FLAG_ASKS;
}

export function writePart(w: Writer, part: PartMessage): void {
  w.u8(PRIORITIES.indexOf(part.priority) | (part.asks ? FLAG_ASKS : 0));
  w.u64(part.life).u32(part.id).u32(part.floor).u32(part.total).u16(part.partBytes).u16(part.index).u8(part.attempt);
  w.raw(part.body);
}

/** The body is a view into the datagram. */
export function readPart(r: Reader): PartMessage {
  const flags = r.u8();
  if (flags > FLAGS_MAX) throw new WireError("no such flag");
  const part: PartMessage = {
    type: "part",
    priority: (flags & 1) === 1 ? "token" : "bulk",
    asks: (flags & FLAG_ASKS) !== 0,
    life: r.u64(),
    id: r.u32(),
    floor: r.u32(),
    total: r.u32(),
    partBytes: r.u16(),
    index: r.u16(),
    attempt: r.u8(),
    body: r.rest(),
  };
  checkPart(part);
  return part;
}

function checkPart(part: PartMessage): void {
  const { id, floor, total, partBytes, index, attempt, body } = part;
  if (total > MESSAGE_BYTES_MAX) throw new WireError("a message beyond the limit");
  if (partBytes < PART_BYTES_MIN) throw new WireError("parts below the limit");
  if (attempt === 0) throw new WireError("never sent");
  if ((id - floor) >>> 0 >= ID_WINDOW) throw new WireError("an id beyond its window");
  if (index >= partCount(total, partBytes)) throw new WireError("a part beyond the message");
  if (body.length !== Math.min(partBytes, total - index * partBytes)) throw new WireError("a part of a wrong length");
}

export function writeHave(w: Writer, have: HaveMessage): void {
  w.u8(PRIORITIES.indexOf(have.priority)).u8(STATUSES.indexOf(have.status));
  w.u64(have.life).u64(have.senderLife).u32(have.id).u32(have.collection);
  w.u16(have.echoIndex).u8(have.echoAttempt).u16(have.base).raw(have.bits);
}

/** As a datagram. */
export function encodeHave(have: HaveMessage): Uint8Array {
  const w = new Writer().u8(HAVE_CODE);
  writeHave(w, have);
  return w.finish();
}

export function readHave(r: Reader): HaveMessage {
  const priority = PRIORITIES[r.u8()];
  const status = STATUSES[r.u8()];
  if (priority === undefined || status === undefined) throw new WireError("no such value");
  const have: HaveMessage = {
    type: "have",
    priority,
    status,
    life: r.u64(),
    senderLife: r.u64(),
    id: r.u32(),
    collection: r.u32(),
    echoIndex: r.u16(),
    echoAttempt: r.u8(),
    base: r.u16(),
    bits: r.rest(),
  };
  if (have.bits.length > SPAN_PARTS / 8) throw new WireError("a bitmap beyond the span");
  return have;
}
