// The lock table's bytes on the token. Used by Locks only.
import { Reader, WireError, Writer } from "../wire.js";
import type { Claim, LockRecord, LockTable } from "./policy.js";

export const LOCK_FORMAT = 1;
/** Locks that somebody has or wants, in the whole group. */
export const LOCKS_MAX = 256;
/** Clients that have one lock or wait for it. */
export const QUEUE_MAX = 256;
export const LOCK_NAME_BYTES_MAX = 64;
/** Of the whole carriage; about a thousand clients. */
export const LOCK_CARRIAGE_BYTES_MAX = 16_384;

const HEAD_BYTES = 8 + 1 + 8 + 8 + 2;
const CLAIM_BYTES = 2 + 8 + 4;
const RECORD_HEAD_BYTES = 2 + 1 + 2;
const HOLDER_BYTES = CLAIM_BYTES + 8;
const HELD = 1;
const HANDED_OVER = 2;
/** Numbers above it are as good as worn out: the last epoch's. */
const FENCE_MAX = 0xffff_ffff_0000_0000n;

export function isLockName(name: string): boolean {
  return name.length <= LOCK_NAME_BYTES_MAX && /^[\x21-\x7e]+$/.test(name);
}

/** The names are ASCII, so their lengths in characters count. */
export function tableBytes(table: LockTable): number {
  return table.locks.reduce((sum, record) => sum + recordBytes(record), HEAD_BYTES);
}

/** What a table grows by with one claim more. */
export function claimBytes(name: string, isNewName: boolean): number {
  // The claim may become the holder, which takes more room.
  return isNewName ? RECORD_HEAD_BYTES + name.length + HOLDER_BYTES : CLAIM_BYTES;
}

/** Counted as if it had a holder: giving a lock must not make the table too large. */
function recordBytes({ name, holder, queue }: LockRecord): number {
  const waiting = holder === undefined ? Math.max(0, queue.length - 1) : queue.length;
  return RECORD_HEAD_BYTES + name.length + HOLDER_BYTES + waiting * CLAIM_BYTES;
}

export function encodeLocks(table: LockTable): Uint8Array {
  const { top, quorate, calm, locks } = table;
  const w = new Writer()
    .u64(top)
    .u8(quorate ? 1 : 0)
    .u64(calm.stamp)
    .f64(calm.wait_ms)
    .u16(locks.length);
  for (const { name, holder, fence, handedOver, queue } of locks) {
    w.text(name).u8(holder === undefined ? 0 : handedOver ? HELD | HANDED_OVER : HELD);
    if (holder !== undefined) writeClaim(w, holder).u64(fence);
    w.u16(queue.length);
    for (const claim of queue) writeClaim(w, claim);
  }
  return w.finish();
}

function writeClaim(w: Writer, { node, incarnation, request }: Claim): Writer {
  return w.u16(node).u64(incarnation).u32(request);
}

/** Undefined: these bytes are no lock table. */
export function decodeLocks(bytes: Uint8Array): LockTable | undefined {
  if (bytes.length > LOCK_CARRIAGE_BYTES_MAX) return undefined;
  try {
    return readTable(new Reader(bytes));
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function readTable(r: Reader): LockTable | undefined {
  const top = readFence(r);
  const quorate = r.flag();
  const calm = { stamp: readFence(r), wait_ms: r.f64() };
  if (calm.wait_ms < 0) throw new WireError("a negative wait");
  const locks = Array.from({ length: r.count(LOCKS_MAX) }, () => readRecord(r));
  r.end();
  const isTopped = locks.every(({ fence }) => fence <= top);
  const isUnique = new Set(locks.map(({ name }) => name)).size === locks.length;
  return isTopped && isUnique ? { top, quorate, calm, locks } : undefined;
}

function readRecord(r: Reader): LockRecord {
  const name = r.text(LOCK_NAME_BYTES_MAX);
  if (!isLockName(name)) throw new WireError("no name of a lock");
  const flags = r.u8();
  if (flags > (HELD | HANDED_OVER) || flags === HANDED_OVER) throw new WireError("no such flags");
  const holder = (flags & HELD) === 0 ? undefined : readClaim(r);
  const fence = holder === undefined ? 0n : readFence(r);
  const queue = Array.from({ length: r.count(QUEUE_MAX) }, () => readClaim(r));
  if (holder === undefined && queue.length === 0) throw new WireError("a lock that nobody has or wants");
  return { name, holder, fence, handedOver: (flags & HANDED_OVER) !== 0, queue };
}

function readFence(r: Reader): bigint {
  const fence = r.u64();
  if (fence >= FENCE_MAX) throw new WireError("a number near the end of all numbers");
  return fence;
}

function readClaim(r: Reader): Claim {
  return { node: r.u16(), incarnation: r.u64(), request: r.u32() };
}
