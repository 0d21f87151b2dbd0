// The shared carriages' bytes on the token. Used by SharedCarriages only.
import { MEMBERS_MAX } from "../token.js";
import { Reader, WireError, Writer } from "../wire.js";

export const SHARED_FORMAT = 1;
export const NAMES_MAX = 256;
export const NAME_PATTERN = /^[a-z0-9.-]{1,32}$/;
const NAME_BYTES_MAX = 32;
const TWO_32 = 0x1_0000_0000;
/** Versions stay below 2^53: a double counts them exactly, and a million changes a second take 285 years. */
const HIGH_MAX = 0x1f_ffff;
const LAST_BYTES = 8;
const MEMBER_BYTES = 10;
/** All but the entries, with as many members as can come. */
export const SHARED_HEAD_BYTES_MAX = LAST_BYTES + 4 + MEMBERS_MAX * MEMBER_BYTES;
const ENTRY_HEAD_BYTES = 15;

export interface SharedEntry {
  readonly name: string;
  /** Of all names' changes together, the number of the last one that this name had. */
  readonly version: number;
  /** Who made that change. */
  readonly writer: number;
  /** Undefined: removed. Stays until every member has seen that. */
  readonly bytes: Uint8Array | undefined;
}

export interface SharedTable {
  /** The version of the last change of all. */
  readonly last: number;
  /** Up to which version each member has reported. */
  readonly seen: ReadonlyMap<number, number>;
  readonly entries: ReadonlyMap<string, SharedEntry>;
}

/** Whether these are a table of that last version, without looking further. */
export function isAtVersion(bytes: Uint8Array, last: number): boolean {
  if (bytes.length < LAST_BYTES) return false;
  const data = new DataView(bytes.buffer, bytes.byteOffset, LAST_BYTES);
  return data.getUint32(0) * TWO_32 + data.getUint32(4) === last;
}

/** On the token; the name is ASCII. */
export function entryBytes({ name, bytes }: { readonly name: string; readonly bytes: Uint8Array | undefined }): number {
  return ENTRY_HEAD_BYTES + name.length + (bytes?.length ?? 0);
}

export function encodeShared(table: SharedTable): Uint8Array {
  const w = new Writer();
  writeVersion(w, table.last);
  w.u16(table.seen.size);
  for (const [nodeId, version] of table.seen) writeVersion(w.u16(nodeId), version);
  w.u16(table.entries.size);
  for (const { name, version, writer, bytes } of table.entries.values()) {
    writeVersion(w.text(name), version);
    w.u16(writer).u8(bytes === undefined ? 0 : 1);
    if (bytes !== undefined) w.bytes(bytes);
  }
  return w.finish();
}

/** Undefined: these bytes are no table of shared carriages. */
export function decodeShared(bytes: Uint8Array): SharedTable | undefined {
  try {
    const r = new Reader(bytes);
    const last = readVersion(r, Number.MAX_SAFE_INTEGER);
    const seen = new Map<number, number>();
    for (let left = r.count(MEMBERS_MAX); left > 0; left--) setOnce(seen, r.u16(), readVersion(r, last));
    const entries = new Map<string, SharedEntry>();
    const versions = new Map<number, string>();
    for (let left = r.count(NAMES_MAX); left > 0; left--) {
      const entry = readEntry(r, last);
      setOnce(entries, entry.name, entry);
      setOnce(versions, entry.version, entry.name);
    }
    r.end();
    return { last, seen, entries };
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function readEntry(r: Reader, last: number): SharedEntry {
  const name = r.text(NAME_BYTES_MAX);
  if (!NAME_PATTERN.test(name)) throw new WireError("not a name");
  const version = readVersion(r, last);
  const writer = r.u16();
  const bytes = r.flag() ? r.bytes(0xffff) : undefined;
  return { name, version, writer, bytes };
}

function setOnce<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.has(key)) throw new WireError("twice the same");
  map.set(key, value);
}

function writeVersion(w: Writer, version: number): void {
  w.u32(Math.floor(version / TWO_32)).u32(version % TWO_32);
}

function readVersion(r: Reader, max: number): number {
  const high = r.u32();
  const version = high * TWO_32 + r.u32();
  if (high > HIGH_MAX || version > max) throw new WireError("a version from the future");
  return version;
}
