// The VIP table's bytes on the token. Used by VipModule only.
import { Reader, WireError, Writer } from "../raincore/wire.js";
import type { Persistence, VipRecord } from "./policy.js";

/** A table of so many IPv4 VIPs still fits the token (test/vip/codec.test.ts). native/tables/vip_set.h has the same bound. */
export const VIPS_MAX = 1024;
/** What the table may take of the token. IPv6 addresses are longer: of them a table may be full before it has VIPS_MAX. */
export const TABLE_BYTES_MAX = 48 * 1024;
const ADDRESS_BYTES_MAX = 45;
const SEGMENT_BYTES_MAX = 32;
/** Addresses are texts, so that a node which knows IPv4 VIPs only carries a table with others on, and hands its own over by the same rules. */
const FORMAT = 1;
const HEAD_BYTES = encodeTable([]).length;

export function encodeTable(records: readonly VipRecord[]): Uint8Array {
  const w = new Writer().u8(FORMAT).u16(records.length);
  for (const record of records) {
    w.text(record.address).text(record.segment).u16(record.currentHost).u16(record.preferredHost);
    w.u8(record.persistence).u32(record.version).f64(record.wait_ms);
  }
  return w.finish();
}

/** How long the table of these VIPs is. */
export function tableBytes(vips: readonly Pick<VipRecord, "address" | "segment">[]): number {
  return vips.reduce((sum, vip) => sum + recordBytes(vip), HEAD_BYTES);
}

/** As many of the records, from the first on, as a table may have. */
export function fitting<T extends Pick<VipRecord, "address" | "segment">>(records: readonly T[]): readonly T[] {
  let bytes = HEAD_BYTES;
  const end = records.findIndex((record, index) => {
    bytes += recordBytes(record);
    return index >= VIPS_MAX || bytes > TABLE_BYTES_MAX;
  });
  return end < 0 ? records : records.slice(0, end);
}

function recordBytes({ address, segment }: Pick<VipRecord, "address" | "segment">): number {
  const rest = { currentHost: 0, preferredHost: 0, persistence: 0, version: 0, wait_ms: 0 } as const;
  return encodeTable([{ address, segment, ...rest }]).length - HEAD_BYTES;
}

/** Undefined: these bytes are no VIP table. */
export function decodeTable(bytes: Uint8Array): VipRecord[] | undefined {
  try {
    const r = new Reader(bytes);
    if (r.u8() !== FORMAT) return undefined;
    const records = Array.from({ length: r.count(VIPS_MAX) }, () => readRecord(r));
    r.end();
    return new Set(records.map((record) => record.address)).size === records.length ? records : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function readRecord(r: Reader): VipRecord {
  const address = r.text(ADDRESS_BYTES_MAX);
  const segment = r.text(SEGMENT_BYTES_MAX);
  const currentHost = r.u16();
  const preferredHost = r.u16();
  const persistence = readPersistence(r.u8());
  const version = r.u32();
  const wait_ms = r.f64();
  if (wait_ms < 0) throw new WireError("a negative wait");
  return { address, segment, currentHost, preferredHost, persistence, version, wait_ms };
}

function readPersistence(value: number): Persistence {
  if (value === 0 || value === 1 || value === 3) return value;
  throw new WireError("no such persistence flag");
}
