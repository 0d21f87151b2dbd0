// Valid messages of every type and carriages of every module, small and full: what the fuzzer starts from.

import type { SharedTable } from "../../../lib/raincore/carriages/codec.js";
import type { LockTable } from "../../../lib/raincore/locks/policy.js";
import type { Message } from "../../../lib/raincore/messages.js";
import {
  emptyCarriage,
  encodeCarriage,
  FLAG_FIRST,
  FLAG_LAST,
  FLAG_SAFE,
  scanCarriage,
} from "../../../lib/raincore/multicast/codec.js";
import { encodeTable } from "../../../lib/vip/codec.js";
import type { VipRecord } from "../../../lib/vip/policy.js";

const group = { epoch: 7, origin: 3, nodeIds: [1, 2, 65_535] };
const id = { epoch: 7, origin: 3, seq: 0xffff_fffe };

const VIP_RECORDS: readonly VipRecord[] = [
  {
    address: "192.0.2.10",
    segment: "external",
    currentHost: 2,
    preferredHost: 0,
    persistence: 0,
    version: 9,
    wait_ms: 0,
  },
  {
    address: "10.0.0.1",
    segment: "internal",
    currentHost: 0,
    preferredHost: 65_535,
    persistence: 3,
    version: 0xffff_ffff,
    wait_ms: 178.5,
  },
];

const token = {
  ...id,
  hurry: 2,
  rested_ms: 17.5,
  members: [
    { nodeId: 1, incarnation: 5n, session: 1, ready: true, passed_ms: 12.5 },
    { nodeId: 65_535, incarnation: 2n ** 63n, session: 9, ready: false, passed_ms: undefined },
  ],
  carriages: [{ name: "vip", format: 2, version: 4, bytes: encodeTable(VIP_RECORDS) }],
} as const;
const otherCarriage = { name: "x-0.other", format: 255, version: 1, bytes: new Uint8Array(3) } as const;

const part = {
  type: "part",
  priority: "bulk",
  asks: false,
  life: 5n,
  id: 0,
  floor: 0,
  total: 600,
  partBytes: 512,
  attempt: 1,
} as const;
const have = {
  type: "have",
  priority: "bulk",
  status: "partial",
  life: 5n,
  senderLife: 5n,
  id: 0,
  collection: 1,
  echoIndex: 0,
  echoAttempt: 1,
} as const;

/** By type, so that a new type of message asks for its row here. */
const BY_TYPE: { readonly [T in Message["type"]]: readonly Extract<Message, { type: T }>[] } = {
  token: [
    { type: "token", token },
    { type: "token", token: { ...token, members: [], carriages: [] } },
    { type: "token", token: { ...token, carriages: [...token.carriages, otherCarriage] } },
  ],
  ack: [{ type: "ack", id }],
  nack: [
    { type: "nack", id, reason: "older", newest: { ...id, epoch: 8 }, listed: true, group },
    { type: "nack", id, reason: "absent", newest: id, listed: false, group },
    { type: "nack", id, reason: "diverged", newest: id, listed: false, group },
  ],
  call: [
    { type: "call", round: 3, copy: id, passed_ms: 3.25 },
    { type: "call", round: 4, copy: id, passed_ms: undefined },
  ],
  answer: [
    { type: "answer", round: 3, verdict: "removed", epoch: 9, answered_ms: 1e9, group },
    { type: "answer", round: 3, verdict: "grant", epoch: 9, answered_ms: -1, group },
  ],
  join: [{ type: "join", incarnation: 4n, session: 2, epoch: 6, heard: [{ nodeId: 9, incarnation: 5n, session: 3 }] }],
  beacon: [{ type: "beacon", sent_ms: 12.5, echo_ms: 7, group }],
  wake: [{ type: "wake", view: { epoch: 7, origin: 3 } }],
  part: [
    { ...part, index: 0, body: new Uint8Array(512).fill(1) },
    { ...part, index: 1, asks: true, body: new Uint8Array(88).fill(2) },
    { ...part, priority: "token", id: 1, total: 3, index: 0, body: new Uint8Array(3) },
  ],
  have: [
    { ...have, base: 1, bits: Uint8Array.of(5) },
    { ...have, status: "complete", base: 2, bits: new Uint8Array(0) },
    { ...have, status: "busy", priority: "token", base: 0, bits: new Uint8Array(0) },
  ],
};

export const MESSAGES: readonly Message[] = Object.values(BY_TYPE).flat();
export const TOKEN_MESSAGES: readonly Message[] = BY_TYPE.token;

export const VIP_TABLES: readonly (readonly VipRecord[])[] = [
  [],
  VIP_RECORDS.slice(0, 1),
  VIP_RECORDS,
  VIP_RECORDS.map((record, n) => ({ ...record, address: `2001:db8:${n}::1` })),
];

const claim = { node: 2, incarnation: 5n, request: 7 };
const calm = { stamp: 0n, wait_ms: 0 };

export const LOCK_TABLES: readonly LockTable[] = [
  { top: 0n, quorate: true, calm, locks: [] },
  {
    top: (7n << 32n) + 5n,
    quorate: true,
    calm: { stamp: 3n, wait_ms: 12.5 },
    locks: [
      { name: "lock0", holder: claim, fence: (7n << 32n) + 5n, handedOver: false, queue: [{ ...claim, node: 3 }] },
      { name: "b", holder: { ...claim, node: 1 }, fence: 4n, handedOver: true, queue: [] },
    ],
  },
  {
    top: 9n,
    quorate: false,
    calm,
    locks: [{ name: "c", holder: undefined, fence: 0n, handedOver: false, queue: [claim] }],
  },
];

export const SHARED_TABLES: readonly SharedTable[] = [
  { last: 0, seen: new Map(), entries: new Map() },
  {
    last: 2 ** 40 + 3,
    seen: new Map([
      [1, 2],
      [2, 2 ** 40 + 3],
    ]),
    entries: new Map([
      ["x-0", { name: "x-0", version: 2, writer: 1, bytes: Uint8Array.of(1, 2, 3) }],
      ["x-1", { name: "x-1", version: 2 ** 40 + 3, writer: 2, bytes: undefined }],
    ]),
  },
];

/** Empty, with whole messages, and with one in chunks. */
export function multicastCarriages(): Uint8Array[] {
  const members = [1, 2, 3].map((nodeId) => ({ nodeId, upTo: 10, sent: 4, waiting: 0 }));
  const base = { members, keptFrom: 0, sender: 2, view: { epoch: 7, origin: 3 } };
  const source = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const piece = (from: number, to: number, flags: number) => ({ source, from, to, flags });
  const whole = FLAG_FIRST | FLAG_LAST;
  const idle = encodeCarriage({ ...base, top: 10, carriage: emptyCarriage(10), added: [] });
  const added = [piece(0, 8, whole), piece(0, 8, whole | FLAG_SAFE), piece(0, 5, FLAG_FIRST), piece(5, 8, FLAG_LAST)];
  const busy = encodeCarriage({ ...base, top: 14, carriage: emptyCarriage(10), added });
  const carriage = scanCarriage(busy) ?? emptyCarriage(0);
  const longer = encodeCarriage({ ...base, top: 15, sender: 3, carriage, added: [piece(0, 0, whole)] });
  return [idle, busy, longer];
}
