// A front port on its own, without a daemon, until its input ends: what its packets cost. It answers each line with what it has counted so far. Started by
// steering.ts in the gateway's namespace: steeringPort.js SETTINGS.

import { createInterface } from "node:readline";
import { loadNative } from "../lib/native.js";
import { frontMac } from "../lib/steering/frontMac.js";
import { MAGLEV_SLOTS } from "../lib/steering/maglev.js";
import { CLUSTER, type SteeringSettings } from "./steering.js";

const MEMBERS = [1, 2];
const LEASE_NS = 3_600_000_000_000n;

const { backend, nic, outer, authority, assignTo, room } = JSON.parse(process.argv[2] ?? "") as SteeringSettings;
const native = loadNative();
const counters = new BigUint64Array(new SharedArrayBuffer(native.counters.length * BigUint64Array.BYTES_PER_ELEMENT));
const limits = { questions_max: 1024, questions_per_s: 4000, told_max: 65_536, told_per_s: 8000 };
const flows =
  room === undefined ? undefined : new native.FlowExchange({ backend, ...room, ...limits, nics: [] }, () => {});
const port = new native.FrontPort({
  ...{ backend, nic, outer, frontMac: frontMac(CLUSTER, "external", 1), counters },
  ...(flows === undefined ? {} : { flows }),
});
const assignment = {
  policy: assignTo === undefined ? "receiver" : "balanced",
  ...{ epoch: 1, since: MEMBERS.map(() => 1), ready: MEMBERS, settled_ns: 0n },
  ...(assignTo === undefined ? {} : { choices: everySlot(assignTo) }),
} as const;
port.setTables({
  ...{ self: 1, members: MEMBERS, slots: everySlot(authority), hashKey: Buffer.alloc(16, 7) },
  ...(flows === undefined ? {} : { assignment }),
});
port.setLease(native.monotonicNow_ns() + LEASE_NS);
createInterface({ input: process.stdin })
  .on("line", () => {
    port.collectCounters();
    say(JSON.stringify(Object.fromEntries(native.counters.map(({ name }, at) => [name, Number(counters[at])]))));
  })
  .on("close", () => {
    port.close();
    flows?.close();
  });
say(port.mode());

function everySlot(node: number): Uint16Array {
  return new Uint16Array(MAGLEV_SLOTS).fill(node);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
