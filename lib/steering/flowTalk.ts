// What nodes say to each other of flows: an authority asks all others for a flow that it does not know, and tells those that keep asking for one who handles it. The flows
// themselves are the addon's (native/flows); this carries its records between the nodes. Used by the daemon, in the ring's thread.

import { FLOWS_KIND as KIND } from "../messageKinds.js";

/** The addon's, as far as it is needed here: see lib/native.ts. */
export interface Exchange {
  takeQuestions(bytes_max: number): Uint8Array;
  answer(keys: Uint8Array): Uint8Array | undefined;
  settle(keys: Uint8Array): void;
  abandon(keys: Uint8Array): void;
  takeTold(bytes_max: number): readonly { readonly node: number; readonly records: Uint8Array }[];
  learn(records: Uint8Array): void;
}

export interface FlowTalkConfig {
  readonly exchange: Exchange;
  /** Reliable, to another node. */
  readonly send: (node: number, bytes: Uint8Array) => void;
  /** Calls back once, so much later. */
  readonly after: (delay_ms: number, act: () => void) => void;
}

const KINDS: ReadonlySet<number> = new Set(Object.values(KIND));
/** In front of a question and its answer: the kind, and a number. */
const HEAD_BYTES = 5;
/** Who has not answered by then is not waited for. Nothing is settled then: that one may handle the flows. Their packets do not wait for longer. */
const PATIENCE_MS = 10;
/** Of one message: looking so many flows up takes the ring's thread half a millisecond. */
const QUESTION_BYTES_MAX = 256 * 40;
const QUESTIONS_MAX = 4;
/** Words to others are gathered: nothing waits for them. */
const GATHER_MS = 20;
const TOLD_BYTES_MAX = 16_384;
/** What is longer than nodes of this version send is not read: it would keep the ring's thread. */
const MESSAGE_BYTES_MAX = Math.max(TOLD_BYTES_MAX, HEAD_BYTES + (QUESTION_BYTES_MAX / 40) * 48) + 1;

interface Question {
  readonly keys: Uint8Array;
  readonly asked: readonly number[];
  readonly unanswered: Set<number>;
}

export class FlowTalk {
  readonly #config: FlowTalkConfig;
  #others: readonly number[] | undefined;
  #areAllHere = false;
  readonly #questions = new Map<number, Question>();
  #nextId = 1;
  #isTelling = false;

  constructor(config: FlowTalkConfig) {
    this.#config = config;
  }

  /**
   * Who may handle flows beside this node; undefined: it is in no view, and knows of nobody. `areAllHere`: there are no more of them, who would be absent for a while and handle
   * their flows without being able to say so.
   */
  become(others: readonly number[] | undefined, areAllHere: boolean): void {
    this.#others = others;
    this.#areAllHere = areAllHere;
    for (const [id, { unanswered }] of this.#questions) {
      for (const node of unanswered) if (others?.includes(node) !== true) unanswered.delete(node);
      this.#settleAnswered(id);
    }
  }

  /** The exchange has something to say. */
  wake(): void {
    this.#ask();
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.#config.after(GATHER_MS, () => this.#tell());
  }

  /** False: it is not about flows. */
  receive(from: number, bytes: Uint8Array): boolean {
    if (bytes.length > MESSAGE_BYTES_MAX) return KINDS.has(bytes[0] ?? 0);
    switch (bytes[0]) {
      case KIND.told:
        this.#config.exchange.learn(bytes.subarray(1));
        return true;
      case KIND.asked:
        if (bytes.length >= HEAD_BYTES) this.#answer(from, bytes);
        return true;
      case KIND.known:
        if (bytes.length >= HEAD_BYTES) this.#hear(from, bytes);
        return true;
      default:
        return false;
    }
  }

  #ask(): void {
    while (this.#questions.size < QUESTIONS_MAX) {
      const keys = this.#config.exchange.takeQuestions(QUESTION_BYTES_MAX);
      if (keys.length === 0) return;
      const id = this.#nextId;
      this.#nextId = (this.#nextId + 1) >>> 0;
      this.#questions.set(id, { keys, asked: this.#others ?? [], unanswered: new Set(this.#others) });
      this.#config.after(PATIENCE_MS, () => this.#end(id, false));
      const message = framed(KIND.asked, id, keys);
      for (const node of this.#others ?? []) this.#config.send(node, message);
      this.#settleAnswered(id);
    }
  }

  #answer(from: number, question: Uint8Array): void {
    const records = this.#config.exchange.answer(question.subarray(HEAD_BYTES));
    if (records !== undefined) this.#config.send(from, framed(KIND.known, idOf(question), records));
  }

  #hear(from: number, answer: Uint8Array): void {
    // Also one that comes late: the flow's next packet finds it.
    this.#config.exchange.learn(answer.subarray(HEAD_BYTES));
    const id = idOf(answer);
    if (this.#questions.get(id)?.unanswered.delete(from) === true) this.#settleAnswered(id);
  }

  #settleAnswered(id: number): void {
    const question = this.#questions.get(id);
    if (question?.unanswered.size !== 0) return;
    // Who has come meanwhile was not asked.
    const areAllAsked = this.#others?.every((node) => question.asked.includes(node)) === true;
    this.#end(id, areAllAsked && this.#areAllHere);
  }

  /** Once. */
  #end(id: number, isSettled: boolean): void {
    const question = this.#questions.get(id);
    if (question === undefined) return;
    this.#questions.delete(id);
    if (isSettled) this.#config.exchange.settle(question.keys);
    else this.#config.exchange.abandon(question.keys);
    this.#ask();
  }

  /** Until nothing waits. */
  #tell(): void {
    const deliveries = this.#config.exchange.takeTold(TOLD_BYTES_MAX);
    this.#isTelling = deliveries.length > 0;
    for (const { node, records } of deliveries) {
      if (this.#others?.includes(node) === true)
        this.#config.send(node, Buffer.concat([Buffer.of(KIND.told), records]));
    }
    if (this.#isTelling) this.#config.after(GATHER_MS, () => this.#tell());
  }
}

/** The answer of a node that remembers no flows to another one's question, for what it relays it relays to the flow's authority; undefined: it is no question. */
export function answerOfNone(question: Uint8Array): Uint8Array | undefined {
  if (question[0] !== KIND.asked || question.length < HEAD_BYTES) return undefined;
  return framed(KIND.known, idOf(question), new Uint8Array(0));
}

function framed(kind: number, id: number, bytes: Uint8Array): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(kind, 0);
  head.writeUInt32BE(id, 1);
  return Buffer.concat([head, bytes]);
}

function idOf(message: Uint8Array): number {
  return Buffer.from(message.buffer, message.byteOffset, message.byteLength).readUInt32BE(1);
}
