// What the modules carry on the token, as bytes: the VIP table, locks, shared carriages, ordered multicast.
import { decodeShared, encodeShared, type SharedTable } from "../../../lib/raincore/carriages/codec.js";
import { decodeLocks, encodeLocks, LOCK_CARRIAGE_BYTES_MAX } from "../../../lib/raincore/locks/codec.js";
import type { LockTable } from "../../../lib/raincore/locks/policy.js";
import {
  type Carriage,
  encodeCarriage,
  newRecordHead,
  readRecord,
  scanCarriage,
} from "../../../lib/raincore/multicast/codec.js";
import { decodeTable, encodeTable } from "../../../lib/vip/codec.js";
import type { VipRecord } from "../../../lib/vip/policy.js";
import { codecTarget, sizeClass, type Target, Violation } from "../target.js";
import { LOCK_TABLES, multicastCarriages, SHARED_TABLES, VIP_TABLES } from "./samples.js";

export const vip: Target = codecTarget<readonly VipRecord[]>({
  name: "vip",
  covers: /\/lib\/(vip\/codec|raincore\/wire)\./,
  bytesMax: 8192,
  values: VIP_TABLES,
  encode: encodeTable,
  decode: decodeTable,
  kindOf: (records) => `records ${sizeClass(records.length)}`,
});

export const locks: Target = codecTarget<LockTable>({
  name: "locks",
  covers: /\/lib\/raincore\/(locks\/codec|wire)\./,
  bytesMax: LOCK_CARRIAGE_BYTES_MAX + 1,
  values: LOCK_TABLES,
  encode: encodeLocks,
  decode: decodeLocks,
  kindOf: (table) => `locks ${sizeClass(table.locks.length)}`,
});

export const shared: Target = codecTarget<SharedTable>({
  name: "shared",
  covers: /\/lib\/raincore\/(carriages\/codec|wire)\./,
  bytesMax: 8192,
  values: SHARED_TABLES,
  encode: encodeShared,
  decode: decodeShared,
  kindOf: ({ seen, entries }) => `seen ${sizeClass(seen.size)}, entries ${sizeClass(entries.size)}`,
});

/** Its bytes are walked where they lie: what was accepted must hold together, and be what the encoder would have written. */
export const multicast: Target = {
  name: "multicast",
  covers: /\/lib\/raincore\/multicast\/codec\./,
  bytesMax: 8192,
  seeds: multicastCarriages,
  decode: (input) => scanCarriage(input),
  check(answer, input) {
    if (answer === undefined) return "refused";
    const carriage = answer as Carriage;
    const { top, members, count } = carriage;
    const record = newRecordHead();
    for (let i = 0; i < count; i++) {
      readRecord(carriage, i, record);
      if (record.bodyAt + record.bodyBytes !== carriage.offsets[i + 1])
        throw new Violation("has a gap between records");
    }
    const whole = { top, members, carriage, keptFrom: 0, added: [], sender: 1, view: { epoch: 0, origin: 0 } };
    if (Buffer.compare(encodeCarriage(whole), input) !== 0) throw new Violation("is encoded to other bytes");
    return `members ${sizeClass(members.length)}, records ${sizeClass(count)}`;
  },
};
