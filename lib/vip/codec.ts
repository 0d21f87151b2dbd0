// The VIP table's bytes on the token. Used by VipModule only.
import { Reader, WireError, Writer } from "../raincore/wire.js";
import type { Persistence, VipRecord } from "./policy.js";

/** A table of so many IPv4 VIPs still fits the token (test/vip/codec.test.ts). native/tables/vip_set.h has the same bound. */
export const VIPS_MAX = 1024;
const ADDRESS_BYTES_MAX = 45;
const SEGMENT_BYTES_MAX = 32;
const FORMAT = 1;

export function encodeTable(records: readonly VipRecord[]): Uint8Array {
  const w = new Writer().u8(FORMAT).u16(records.length);
  for (const record of records) {
    w.text(record.address).text(record.segment).u16(record.currentHost).u16(record.preferredHost);
    w.u8(record.persistence).u32(record.version).f64(record.wait_ms);
  }
  return w.finish();
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
