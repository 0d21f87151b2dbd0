// The modules behind the carriages: a hostile or broken member may put anything on the token, visit after visit. The
// first byte of an input names the module, the rest is a row of visits.

import { decodeShared, encodeShared } from "../../../lib/raincore/carriages/codec.js";
import { SharedCarriages } from "../../../lib/raincore/carriages/sharedCarriages.js";
import { decodeLocks, encodeLocks } from "../../../lib/raincore/locks/codec.js";
import { Locks } from "../../../lib/raincore/locks/locks.js";
import { scanCarriage } from "../../../lib/raincore/multicast/codec.js";
import { Multicast } from "../../../lib/raincore/multicast/multicast.js";
import type { TokenContext, TokenModule } from "../../../lib/raincore/types.js";
import { decodeTable, encodeTable } from "../../../lib/vip/codec.js";
import { VipModule } from "../../../lib/vip/vipTable.js";
import { frame, readFrames, row } from "../frames.js";
import { type Target, Violation } from "../target.js";
import { LOCK_TABLES, multicastCarriages, SHARED_TABLES, VIP_TABLES } from "./samples.js";

const SELF = 1;

interface Driven {
  readonly module: TokenModule;
  /** Gives it something to do, so that it writes. */
  readonly use: (now_ms: number, number: number) => void;
  /** What it puts on the token, every other member must be able to read. */
  readonly isReadable: (bytes: Uint8Array) => boolean;
}

const MODULES: readonly { readonly name: string; readonly create: () => Driven; readonly seeds: () => Uint8Array[] }[] =
  [
    { name: "vip", create: createVip, seeds: () => VIP_TABLES.map(encodeTable) },
    { name: "locks", create: createLocks, seeds: () => LOCK_TABLES.map(encodeLocks) },
    { name: "shared", create: createShared, seeds: () => SHARED_TABLES.map(encodeShared) },
    { name: "multicast", create: createMulticast, seeds: multicastCarriages },
  ];

function createVip(): Driven {
  const vips = [{ address: "192.0.2.10", segment: "external", preferredHost: 1, persistence: 3 }] as const;
  const module = new VipModule({ self: SELF, vips });
  const use = (_now_ms: number, number: number) => void module.requestMove("192.0.2.10", 1 + (number % 3));
  return { module, use, isReadable: (bytes) => decodeTable(bytes) !== undefined };
}

function createLocks(): Driven {
  const module = new Locks({ self: SELF, onEvent: () => {} });
  const use = (now_ms: number, number: number) => void module.acquire(now_ms, `lock${number % 3}`, { client: "fuzz" });
  return { module, use, isReadable: (bytes) => decodeLocks(bytes) !== undefined };
}

function createShared(): Driven {
  const module = new SharedCarriages({ self: SELF, onChange: () => {} });
  const use = (_now_ms: number, number: number) =>
    void module.update(`x-${number % 3}`, number >> 4, new Uint8Array(number));
  return { module, use, isReadable: (bytes) => decodeShared(bytes) !== undefined };
}

function createMulticast(): Driven {
  const module = new Multicast({ self: SELF, onDeliver: () => {} });
  const use = (_now_ms: number, number: number) =>
    void module.send(new Uint8Array(number), number % 2 === 0 ? "agreed" : "safe");
  return { module, use, isReadable: (bytes) => scanCarriage(bytes) !== undefined };
}

const VISITS = { lose: 0x80, remove: 0x40, leave: 0x20, work: 0x10, quorate: 0x08, lease: 0x04 } as const;
/** A visit as usual: quorate, with a valid lease. */
const PLAIN_VISIT = VISITS.quorate | VISITS.lease;

function context(now_ms: number, flags: number, epoch: number): TokenContext {
  const others = (flags & VISITS.remove) === 0 ? [2, 3] : [3];
  const members = [SELF, ...others].map((nodeId) => ({ nodeId, incarnation: 5n, ready: true }));
  const isLeased = (flags & VISITS.lease) !== 0;
  return {
    now_ms,
    self: SELF,
    view: { epoch, origin: 1, members, self: SELF, quorate: (flags & VISITS.quorate) !== 0 },
    confirmed: true,
    tokenReceived_ms: now_ms,
    removed: (flags & VISITS.remove) === 0 ? [] : [{ nodeId: 2, leaseEnd_ms: now_ms + 20 }],
    missedQuorum: false,
    lacking: new Set(),
    leaving: (flags & VISITS.leave) !== 0,
    hasten: () => {},
    lease_ms: 133,
    leaseValid: isLeased,
    mayBeServedOutside: !isLeased,
  };
}

interface Answer {
  readonly name: string;
  readonly unreadable: number;
  readonly written: number;
}

function visitAll(input: Uint8Array): Answer {
  const chosen = MODULES[(input[0] ?? 0) % MODULES.length] ?? MODULES[0];
  if (chosen === undefined) throw new Error("there are no modules");
  const { module, use, isReadable } = chosen.create();
  let now_ms = 1000;
  let epoch = 1;
  let unreadable = 0;
  let written = 0;
  for (const { a: flags, b, bytes } of readFrames(input.subarray(1))) {
    now_ms += b;
    if ((flags & VISITS.remove) !== 0) epoch += 1;
    if ((flags & VISITS.work) !== 0) use(now_ms, b);
    // The engine keeps a larger one from it.
    const carried = bytes.length === 0 || bytes.length > module.bytesMax ? undefined : bytes;
    const after = module.onToken(context(now_ms, flags, epoch), carried);
    if (after !== undefined && after !== carried) {
      written += 1;
      if (!isReadable(after)) unreadable += 1;
    }
    module.onLease?.((flags & VISITS.lease) === 0 ? 0 : now_ms + 100, now_ms);
    if ((module.deadline_ms ?? Number.POSITIVE_INFINITY) <= now_ms) module.onTick?.(now_ms);
    if ((flags & VISITS.lose) !== 0) module.onLost(now_ms);
  }
  return { name: chosen.name, unreadable, written };
}

export const modules: Target = {
  name: "modules",
  covers: /\/lib\/(raincore\/(multicast|locks|carriages)|vip)\//,
  bytesMax: 4096,
  // A module, its queues and its answers to dozens of visits.
  limits: { countedPerByte: 256, countedBytes: 1024 * 1024, heapPerByte: 4096, heapBytes: 16 * 1024 * 1024 },
  seeds: () =>
    MODULES.flatMap(({ seeds }, index) =>
      seeds().map((bytes) => {
        const visits = [frame(PLAIN_VISIT, 5, bytes), frame(PLAIN_VISIT | VISITS.work, 5, bytes)];
        return row(Uint8Array.of(index), ...visits, frame(PLAIN_VISIT | VISITS.remove, 5, bytes));
      }),
    ),
  decode: visitAll,
  check(answer) {
    const { name, unreadable, written } = answer as Answer;
    if (unreadable > 0) throw new Violation(`${name} wrote ${unreadable} carriages that nobody can read`);
    return `${name}: ${written === 0 ? "nothing" : "something"} written`;
  },
};
