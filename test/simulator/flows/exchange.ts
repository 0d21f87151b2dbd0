// A model of what a node's ports and its control plane have between them of flows (native/flows/flow_exchange.cc): what is to be asked for, what others are to be told, and what they
// say. Without the limits in a second, which no run comes near, and with text instead of the records' bytes. Used by plane.ts; lib/steering/flowTalk.ts carries what it has to say.
import type { Exchange } from "../../../lib/steering/flowTalk.js";
import {
  holds,
  type Known,
  type OracleAssignment,
  type OracleFlows,
  QUIET_PERIODS,
} from "../../vectors/oracleFlows.js";
import type { Firewall, Tracked } from "./firewall.js";
import { isTranslated, originalName, replyName } from "./packet.js";

const QUESTIONS_MAX = 1024;
/** Periods: more than of any run. */
const NEVER = 1n << 40n;
/** More than of any that a firewall knows. */
const UNSEEN = 2 ** 41;

export interface FlowRecord {
  readonly name: string;
  readonly known: Omit<Known, "seen_ns">;
  /** It may be from a time when the connection was handled there: see `#own`. */
  readonly guess?: Guess | undefined;
}

interface Guess {
  /** The firewall knows a connection that goes on, and both sides have spoken. */
  readonly isAssured: boolean;
  /** For how long the packet path has not seen it. */
  readonly idle: number;
}

interface Question {
  isAsked: boolean;
  /** Somebody is sure of it: what the packets have forgotten again since is not nobody's. */
  isAnswered: boolean;
  /** What the firewalls of others say. */
  guess: FlowRecord | undefined;
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
  readonly authorityOf: (name: string) => number | undefined;
  /** There are questions to take, or records, after there were none. */
  readonly waiting: () => void;
  /** Of what nobody handles there may be a copy: then it is this node's, and known as such. */
  readonly takeOverLast: (name: string) => boolean;
  readonly count: (what: string, n?: number) => void;
  readonly trace: (line: () => string) => void;
}

export class ExchangeModel implements Exchange {
  readonly #host: ExchangeHost;
  readonly #questions = new Map<string, Question>();
  #told: Told[] = [];

  constructor(host: ExchangeHost) {
    this.#host = host;
  }

  /** False: too many wait for answers already. */
  ask(name: string): boolean {
    if (this.#questions.has(name)) return true;
    if (this.#questions.size >= QUESTIONS_MAX) return false;
    this.#questions.set(name, { isAsked: false, isAnswered: false, guess: undefined });
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

  /** Who handles a flow, as far as this node knows; undefined: nobody that is still there. */
  handlerOf(name: string): number | undefined {
    const assignment = this.#host.assignment();
    return assignment && this.#held(name, assignment)?.node;
  }

  /** Another node that is there handles it, in a connection that goes on, and this one has seen something of it a moment ago. */
  isAnothers(name: string): boolean {
    const assignment = this.#host.assignment();
    const held = assignment && this.#held(name, assignment);
    if (held === undefined || held.node === this.#host.self || held.life === "closing") return false;
    return this.#idle(held) <= QUIET_PERIODS;
  }

  takeQuestions(bytes_max: number): Uint8Array {
    const names: string[] = [];
    let length = 0;
    for (const [name, question] of this.#questions) {
      if (question.isAsked || this.#isAnsweredHere(name)) continue;
      length += name.length + 1;
      if (length > bytes_max) break;
      question.isAsked = true;
      names.push(name);
    }
    this.#host.count("flows_asked", names.length);
    return written(names);
  }

  answer(keys: Uint8Array): Uint8Array | undefined {
    const assignment = this.#host.assignment();
    if (assignment === undefined) return undefined;
    const records = (read(keys) as string[]).flatMap((name) => this.#own(name, assignment) ?? []);
    for (const { name } of records) this.#host.trace(() => `answers that it handles ${name}`);
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
      const question = this.#questions.get(name);
      if (!this.#questions.delete(name)) continue;
      if (question?.isAnswered === true || this.#settled(name) !== undefined) {
        this.#host.count("flows_found");
        continue;
      }
      // Nobody else is asked for what this node's own firewall has.
      const guess = likelier(question?.guess, this.#own(name, assignment));
      if (guess === undefined && this.#host.takeOverLast(name)) continue;
      const nobody = { ...UNTOUCHED, node: 0, epoch: assignment.epoch, life: "opening" } as const;
      store.put(name, { ...(guess?.known ?? nobody), seen_ns: now_ns() });
      this.#host.trace(
        () => `asked all for ${name}: ${guess === undefined ? "nobody's" : `${guess.known.node}'s firewall has it`}`,
      );
      this.#host.count(guess === undefined ? "flows_nobodys" : "flows_guessed");
    }
  }

  abandon(keys: Uint8Array): void {
    for (const name of read(keys) as string[]) {
      if (!this.#questions.delete(name)) continue;
      this.#host.count("flows_given_up");
      this.#host.trace(() => `gives up asking for ${name}`);
    }
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
    // What was said of a connection that is over meanwhile would be heard as said of the next one between its ends.
    for (const [node, records] of byNode)
      byNode.set(
        node,
        records.filter((record) => this.#isStillSo(record)),
      );
    return [...byNode].map(([node, records]) => ({ node, records: written(records) }));
  }

  learn(records: Uint8Array): void {
    for (const record of read(records) as FlowRecord[]) this.#learn(record);
  }

  #isStillSo({ name, known }: FlowRecord): boolean {
    const now = this.#host.store.find(name, this.#host.now_ns());
    return now !== undefined && now.node === known.node && now.life !== "closing";
  }

  #learn(record: FlowRecord): void {
    const { name, known, guess } = record;
    const { store, now_ns, self } = this.#host;
    const assignment = this.#host.assignment();
    if (assignment === undefined || !holds({ ...known, seen_ns: 0n }, assignment)) return;
    if (guess !== undefined) {
      const question = this.#questions.get(name);
      if (question !== undefined) question.guess = likelier(question.guess, record);
      return;
    }
    const question = this.#questions.get(name);
    if (question !== undefined) question.isAnswered = true;
    const before = store.find(name, now_ns());
    this.#host.trace(
      () =>
        `learns that ${known.node} handles ${name}${before && before.node !== known.node ? `, not ${before.node}` : ""}`,
    );
    // Whose ports tell it do not know what the firewall does.
    const isAlias = known.isAlias === true || (before?.node === known.node && before.isAlias === true);
    store.put(name, { ...known, isAlias, seen_ns: now_ns() });
    if (before === undefined || [0, self, known.node].includes(before.node) || !holds(before, assignment)) return;
    this.tell(before.node, { name, known });
    this.#host.count("flows_corrected");
  }

  /**
   * What this node knows for certain need not be asked for. Who is not the flow's authority asks since a peer takes the flow for this node's: if the firewall has its connection, two say so.
   */
  #isAnsweredHere(name: string): boolean {
    const assignment = this.#host.assignment();
    const own = assignment === undefined ? undefined : this.#own(name, assignment);
    const { self, authorityOf, firewall } = this.#host;
    const isBacked = authorityOf(name) !== self && firewall.find(name) !== undefined;
    if (own === undefined || (own.guess !== undefined && !isBacked)) return false;
    this.#host.store.put(name, { ...own.known, seen_ns: this.#host.now_ns() });
    this.#questions.delete(name);
    return true;
  }

  /**
   * If this node handles the flow: a guess, where its packet path has not seen it for a while, or its firewall knows nothing of it. Then another connection may have begun between the
   * same ends, elsewhere. A translated connection has two flows: what is known of one is so of the other.
   */
  #own(name: string, assignment: OracleAssignment): FlowRecord | undefined {
    const { self, firewall } = this.#host;
    const { epoch } = assignment;
    const tracked = firewall.find(name);
    const ends = tracked?.ends;
    const isAlias = ends !== undefined && isTranslated(ends) && name === replyName(ends);
    const found = this.#held(name, assignment);
    const other =
      ends === undefined ? undefined : this.#held(isAlias ? originalName(ends) : replyName(ends), assignment);
    const mine = [found, other].filter((one) => one !== undefined && one.node === self && one.life !== "closing");
    const idle = mine.map((one) => this.#idle(one as Known)).reduce((a, b) => (a < b ? a : b), NEVER);
    if (tracked === undefined) {
      if (found?.node !== self) return undefined;
      return {
        name,
        known: { ...withoutTime(found), epoch },
        guess: { isAssured: false, idle: UNSEEN + Number(this.#idle(found)) },
      };
    }
    if (
      mine.length === 0 &&
      [found, other].some((one) => one !== undefined && one.node !== self && one.life !== "closing")
    )
      return undefined;
    if (mine.length === 0) this.#host.count("flows_known_by_firewalls");
    const known = {
      ...UNTOUCHED,
      ...(found?.node === self && withoutTime(found)),
      node: self,
      epoch,
      life: lifeOf(tracked, isAlias),
      isAlias,
    };
    return {
      name,
      known,
      guess: idle <= QUIET_PERIODS ? undefined : { isAssured: tracked.isAssured, idle: Number(idle) },
    };
  }

  #idle(known: Known): bigint {
    return this.#host.store.idle(known, this.#host.now_ns());
  }

  /** Of a node that was a member since. */
  #held(name: string, assignment: OracleAssignment): Known | undefined {
    const found = this.#host.store.find(name, this.#host.now_ns());
    return found !== undefined && found.node !== 0 && holds(found, assignment) ? found : undefined;
  }

  /** As it is known, unless that was said of a node that has been away since, or of nobody in an earlier view. */
  #settled(name: string): Known | undefined {
    const assignment = this.#host.assignment();
    const found = this.#host.store.find(name, this.#host.now_ns());
    if (assignment === undefined || found === undefined) return undefined;
    if (found.node === 0) return found.epoch === assignment.epoch ? found : undefined;
    if (assignment.since.has(found.node)) return holds(found, assignment) ? found : undefined;
    // Whose node has gone is its authority's, but for aliases, where there are copies, and where this node was away since.
    const wasHere = (assignment.since.get(this.#host.self) ?? Number.POSITIVE_INFINITY) <= found.epoch;
    return found.isAlias === true || !wasHere ? undefined : found;
  }
}

/** Of a connection that goes on. An alias opens until its next packet but the answer to a SYN, which it is asked for. */
function lifeOf({ ends, isAssured }: Tracked, isAlias: boolean): Known["life"] {
  if (ends.protocol === "udp") return "datagram";
  return isAssured && !isAlias ? "stream" : "opening";
}

function withoutTime({ seen_ns: _, ...known }: Known): Omit<Known, "seen_ns"> {
  return known;
}

const UNTOUCHED = { isFromLow: false, isAnswered: false, count: 0 } as const;

/** Of two nodes that may handle a flow, the same one for each of a connection's. */
function likelier(a: FlowRecord | undefined, b: FlowRecord | undefined): FlowRecord | undefined {
  if (a?.guess === undefined || b?.guess === undefined) return a ?? b;
  if (a.guess.idle !== b.guess.idle) return a.guess.idle < b.guess.idle ? a : b;
  if (a.guess.isAssured !== b.guess.isAssured) return a.guess.isAssured ? a : b;
  return a.known.node < b.known.node ? a : b;
}

/** Nothing is nothing. */
function written(values: readonly unknown[]): Uint8Array {
  return values.length === 0 ? new Uint8Array(0) : Buffer.from(JSON.stringify(values));
}

function read(bytes: Uint8Array): unknown[] {
  return bytes.length === 0 ? [] : (JSON.parse(Buffer.from(bytes).toString()) as unknown[]);
}
