// `bench api`: what the calls between JavaScript and the data plane cost, with the `benchmark` package. Needs no privileges.

import { randomFillSync } from "node:crypto";
import Benchmark from "benchmark";
import { loadNative } from "../lib/native.js";
import { SecureChannel } from "../lib/raincore/secureChannel.js";
import { chooseAead } from "../lib/session/aead.js";
import { buildMaglev } from "../lib/steering/maglev.js";
import type { BenchResult } from "./result.js";

const COUNTERS_READ = 40;
const RING_MESSAGE_BYTES = 600;

/** Each case's body; a sink keeps results alive so that nothing is optimised away. */
function cases(): ReadonlyMap<string, () => void> {
  const native = loadNative();
  const counters = new BigUint64Array(new SharedArrayBuffer(COUNTERS_READ * BigUint64Array.BYTES_PER_ELEMENT));
  const key = new Uint8Array(32).fill(7);
  const [sender, receiver] = acquaintedChannels(key);
  const message = new Uint8Array(RING_MESSAGE_BYTES);
  return new Map([
    ["read one counter", () => consume(counters[3] ?? 0n)],
    [`read ${COUNTERS_READ} counters`, () => consume(counters.reduce((sum, count) => sum + count, 0n))],
    ["monotonicNow_ns()", () => consume(native.monotonicNow_ns())],
    [`seal ${RING_MESSAGE_BYTES} bytes`, () => consume(sender.seal(2, message).length)],
    [`seal and open ${RING_MESSAGE_BYTES} bytes`, () => consume(receiver.open(0, sender.seal(2, message)).ok)],
    ["buildMaglev of 3 nodes", () => consume(buildMaglev([1, 2, 3]).length)],
    ["buildMaglev of 8 nodes", () => consume(buildMaglev([1, 2, 3, 4, 5, 6, 7, 8]).length)],
  ]);
}

/** Nodes 1 and 2, that believe each other: datagrams of strangers are not opened. */
function acquaintedChannels(key: Uint8Array): [SecureChannel, SecureChannel] {
  const shared = {
    aead: chooseAead(),
    random: (out: Uint8Array) => void randomFillSync(out),
    clusterKeys: [key],
    cluster: "bench",
    incarnation: 1n,
    peers: [1, 2],
  };
  const sender = new SecureChannel({ ...shared, nodeId: 1 });
  const receiver = new SecureChannel({ ...shared, nodeId: 2 });
  const challenge = receiver.open(0, sender.seal(2, key));
  if (challenge.ok || challenge.reply === undefined) throw new Error("no challenge");
  const answer = sender.open(0, Buffer.from(challenge.reply));
  if (answer.ok || answer.reply === undefined) throw new Error("no answer");
  receiver.open(0, Buffer.from(answer.reply));
  if (!receiver.open(0, sender.seal(2, key)).ok) throw new Error("not believed");
  return [sender, receiver];
}

let sink: unknown;
function consume(value: unknown): void {
  sink = value;
}

export async function benchApi(): Promise<BenchResult> {
  const suite = new Benchmark.Suite();
  for (const [name, body] of cases()) suite.add(name, body);
  await new Promise<void>((resolve, reject) => {
    suite.on("complete", () => resolve());
    suite.on("error", (event: Benchmark.Event) => reject((event.target as { error?: Error }).error));
    suite.run({ async: true });
  });
  const rows = suite.map((bench: Benchmark) => ({
    call: bench.name ?? "",
    ns_per_call: Math.round(1e9 / (bench.hz ?? Number.NaN)),
    margin_percent: Math.round((bench.stats?.rme ?? 0) * 10) / 10,
  })) as unknown as BenchResult["rows"];
  consume(sink);
  return { bench: "api", ok: true, rows, figures: {}, broken: [] };
}
