// A model of what a node's ports and its control plane have between them of flows (native/flows/flow_exchange.cc): what is to be asked for, what others are to be told, and what they
// say. Without the limits in a second, which no run comes near, and with text instead of the records' bytes. Used by plane.ts; lib/steering/flowTalk.ts carries what it has to say.
import type { Exchange } from "../../../lib/steering/flowTalk.js";
import { holds, type Known, type OracleAssignment, type OracleFlows } from "../../vectors/oracleFlows.js";
import type { Firewall } from "./firewall.js";
import { isTranslated, replyName } from "./packet.js";

const QUESTIONS_MAX = 1024;

export interface FlowRecord {
  readonly name: string;
  readonly known: Omit<Known, "seen_ns">;
}

interface Told {
  readonly node: number;
  readonly record: FlowRecord;
}

export interface ExchangeHost {
  readonly self: number;
  readonly store: OracleFlows;
  readonly firewall: Firewall;
  readonly now_ns: () => bigint;
  /** Undefined: in no view. */
  readonly assignment: () => OracleAssignment | undefined;
  /** There are questions to take, or records, after there were none. */
  readonly waiting: () => void;
  /** What is known of these flows may be another thing now. */
  readonly changed: () => void;
}

export class ExchangeModel implements Exchange {
  readonly #host: ExchangeHost;
  readonly #questions = new Map<string, "waiting" | "asked">();
  #told: Told[] = [];
  readonly figures = { asked: 0, found: 0, unknown: 0, abandoned: 0, answered: 0, by_firewall: 0, corrected: 0 };

  constructor(host: ExchangeHost) {
    this.#host = host;
  }

  /** False: too many wait for answers already. */
  ask(name: string): boolean {
    if (this.#questions.has(name)) return true;
    if (this.#questions.size >= QUESTIONS_MAX) return false;
    this.#questions.set(name, "waiting");
    this.#host.waiting();
    return true;
  }

  tell(node: number, record: FlowRecord): void {
    this.#told.push({ node, record });
    this.#host.waiting();
  }

  /** Whether it is known by now what becomes of a flow that was asked for. */
  isSettled(name: string): boolean {
    return this.#settled(name) !== undefined;
  }

  takeQuestions(bytes_max: number): Uint8Array {
    const names: string[] = [];
    let length = 0;
    for (const [name, state] of this.#questions) {
      if (state === "asked") continue;
      length += name.length + 1;
      if (length > bytes_max) break;
      this.#questions.set(name, "asked");
      names.push(name);
    }
    this.figures.asked += names.length;
    return written(names);
  }

  answer(keys: Uint8Array): Uint8Array | undefined {
    const assignment = this.#host.assignment();
    if (assignment === undefined) return undefined;
    const records = (read(keys) as string[]).flatMap((name) => this.#own(name, assignment) ?? []);
    this.figures.answered += records.length;
    return written(records);
  }

  settle(keys: Uint8Array): void {
    const { store, now_ns } = this.#host;
    const assignment = this.#host.assignment();
    if (assignment === undefined) {
      this.abandon(keys);
      return;
    }
    for (const name of read(keys) as string[]) {
      if (!this.#questions.delete(name)) continue;
      if (this.#settled(name) !== undefined) {
        this.figures.found += 1;
        continue;
      }
      // Nobody is asked for what this node's own firewall has.
      const own = this.#own(name, assignment)?.known;
      const nobody = { ...UNTOUCHED, node: 0, epoch: assignment.epoch, life: "opening" } as const;
      store.put(name, { ...(own ?? nobody), seen_ns: now_ns() });
      this.figures.unknown += 1;
    }
    this.#host.changed();
  }

  abandon(keys: Uint8Array): void {
    for (const name of read(keys) as string[]) if (this.#questions.delete(name)) this.figures.abandoned += 1;
  }

  takeTold(bytes_max: number): readonly { readonly node: number; readonly records: Uint8Array }[] {
    const byNode = new Map<number, FlowRecord[]>();
    const left: Told[] = [];
    let length = 0;
    for (const told of this.#told) {
      length += told.record.name.length;
      if (length > bytes_max) left.push(told);
      else byNode.set(told.node, [...(byNode.get(told.node) ?? []), told.record]);
    }
    this.#told = left;
    return [...byNode].map(([node, records]) => ({ node, records: written(records) }));
  }

  learn(records: Uint8Array): void {
    for (const record of read(records) as FlowRecord[]) this.#learn(record);
    this.#host.changed();
  }

  #learn({ name, known }: FlowRecord): void {
    const { store, now_ns, self } = this.#host;
    const assignment = this.#host.assignment();
    if (assignment === undefined || !holds({ ...known, seen_ns: 0n }, assignment)) return;
    const before = store.find(name, now_ns());
    store.put(name, { ...known, seen_ns: now_ns() });
    if (before === undefined || [0, self, known.node].includes(before.node) || !holds(before, assignment)) return;
    this.tell(before.node, { name, known });
    this.figures.corrected += 1;
  }

  /** If this node handles the flow: what it knows of flows goes before what its firewall has, which may be from before. */
  #own(name: string, assignment: OracleAssignment): FlowRecord | undefined {
    const { store, now_ns, self, firewall } = this.#host;
    const { epoch } = assignment;
    const found = store.find(name, now_ns());
    if (found !== undefined && found.node !== 0 && holds(found, assignment)) {
      const { seen_ns: _, ...known } = found;
      return found.node === self ? { name, known: { ...known, epoch } } : undefined;
    }
    const tracked = firewall.find(name);
    if (tracked === undefined) return undefined;
    this.figures.by_firewall += 1;
    const { ends } = tracked;
    const isAlias = isTranslated(ends) && name === replyName(ends);
    const life = ends.protocol === "tcp" ? "stream" : "datagram";
    return { name, known: { ...UNTOUCHED, node: self, epoch, life, isAlias } };
  }

  /** As it is known, unless that was said of a node that has been away since, or of nobody in an earlier view. */
  #settled(name: string): Known | undefined {
    const assignment = this.#host.assignment();
    const found = this.#host.store.find(name, this.#host.now_ns());
    if (assignment === undefined || found === undefined) return undefined;
    if (found.node === 0) return found.epoch === assignment.epoch ? found : undefined;
    return !assignment.since.has(found.node) || holds(found, assignment) ? found : undefined;
  }
}

const UNTOUCHED = { isFromLow: false, isAnswered: false, count: 0 } as const;

/** Nothing is nothing. */
function written(values: readonly unknown[]): Uint8Array {
  return values.length === 0 ? new Uint8Array(0) : Buffer.from(JSON.stringify(values));
}

function read(bytes: Uint8Array): unknown[] {
  return bytes.length === 0 ? [] : (JSON.parse(Buffer.from(bytes).toString()) as unknown[]);
}
