// One node's part in connections that outlive their gateway (native/conntrack), on its own in a network namespace: how fast it tells, keeps and takes over. It does what each line says, one
// after the other, and answers it with what that took. Started by kept.ts: connectionShare.js SELF.

import { createInterface } from "node:readline";
import { loadNative } from "../../lib/native.js";
import { MAGLEV_SLOTS } from "../../lib/steering/maglev.js";

export type ShareCommand =
  /** All flows are that node's from now on, and would be the other's without it. */
  | { readonly do: "become"; readonly handler: number; readonly other: number }
  /** Until so many records have been given out. */
  | { readonly do: "tell"; readonly records: number }
  /** The same of all that the firewall knows. */
  | { readonly do: "tellAnew"; readonly records: number }
  /** What was given out since it was asked for last. */
  | { readonly do: "handOut" }
  | { readonly do: "keep"; readonly deliveries: readonly string[] }
  /** Until the firewall here has been given so many. */
  | { readonly do: "takeOver"; readonly entries: number };

export interface ShareAnswer {
  readonly elapsed_ms: number;
  /** Of the whole process, its share's thread included. */
  readonly cpu_ms: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly deliveries?: readonly string[];
}

const MEMBERS = [1, 2];
const LIMITS = { waiting_max: 262_144, replicas_max: 1_048_576 };
/** As lib/conntrack sends them. */
const DELIVERY_BYTES_MAX = 65_536;
const POLL_MS = 2;
const PATIENCE_MS = 60_000;

const self = Number(process.argv[2]);
const other = MEMBERS.find((node) => node !== self) ?? self;
let isWaiting = () => {};
const share = new (loadNative().ConntrackShare)(LIMITS, () => isWaiting());
let given: Buffer[] = [];

let sharing: readonly [handler: number, other: number] = [0, 0];

function become(handler: number, other: number): void {
  sharing = [handler, other];
  const tables = { self, members: MEMBERS, slots: everySlot(handler), hashKey: Buffer.alloc(16, 7) };
  share.become(tables, everySlot(other));
}

/** Counted from the first one on. */
async function tell(records: number): Promise<number> {
  const goal = share.figures().told + records;
  await new Promise<void>((resolve) => {
    isWaiting = resolve;
    if (share.figures().waiting > 0) resolve();
  });
  const begun_ms = performance.now();
  while (share.figures().told < goal) {
    const waiting = new Promise<void>((resolve) => {
      isWaiting = resolve;
    });
    const deliveries = share.take(DELIVERY_BYTES_MAX);
    given.push(...deliveries.map((delivery) => delivery.records));
    if (deliveries.length === 0) await waiting;
    else await new Promise(setImmediate);
  }
  return performance.now() - begun_ms;
}

async function takeOver(entries: number): Promise<void> {
  become(self, 0);
  for (let done = 0; done < entries; ) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const { taken_over, taken_over_refused } = share.figures();
    done = taken_over + taken_over_refused;
  }
}

/** Whoever asks for more than there is waits for ever. */
function patience<T>(what: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Where it did not begin at once: how long it took from then on. */
async function obey(command: ShareCommand): Promise<number | undefined> {
  switch (command.do) {
    case "become":
      become(command.handler, command.other);
      return undefined;
    case "tell":
      return tell(command.records);
    case "tellAnew":
      become(...sharing);
      return tell(command.records);
    case "handOut":
      return undefined;
    case "keep":
      for (const records of command.deliveries) share.receive(other, "copy", Buffer.from(records, "base64"));
      return undefined;
    case "takeOver":
      await takeOver(command.entries);
      return undefined;
  }
}

async function answer(line: string): Promise<void> {
  const command = JSON.parse(line) as ShareCommand;
  const before = process.cpuUsage();
  const begun_ms = performance.now();
  const elapsed_ms = (await patience(command.do, obey(command))) ?? performance.now() - begun_ms;
  const { user, system } = process.cpuUsage(before);
  const deliveries = command.do === "handOut" ? { deliveries: given.map((one) => one.toString("base64")) } : {};
  if (command.do === "handOut") given = [];
  const done: ShareAnswer = {
    elapsed_ms,
    cpu_ms: (user + system) / 1000,
    figures: { ...share.figures() },
    ...deliveries,
  };
  process.stdout.write(`${JSON.stringify(done)}\n`);
}

function everySlot(node: number): Uint16Array {
  return new Uint16Array(MAGLEV_SLOTS).fill(node);
}

let last = Promise.resolve();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    last = last.then(() => answer(line));
  })
  .on("close", () => void last.then(() => share.close()));
process.stdout.write("ready\n");
