// A client and a server that speak with each other: one says something, the other answers, and who gets no answer says it again. Made by traffic.ts.
import type { Random } from "../random.js";
import type { Ends, Packet, Side } from "./packet.js";

export interface ConnectionHost {
  readonly unit_ms: number;
  readonly now: () => number;
  readonly random: Random;
  readonly after: (delay_ms: number, act: () => void) => void;
  readonly nextNumber: () => number;
  readonly send: (packet: Packet) => void;
}

type Step = "open" | "data" | "close";

interface Turn {
  readonly number: number;
  readonly step: Step;
  readonly by: Side;
  readonly done: () => void;
  tries: number;
}

/** Again after so many units, after twice as many, and so on. */
const PATIENCE_U = 6;
const PATIENCE_MAX_U = 48;
/** Nobody tries for ever to open one. */
const OPENINGS_MAX = 8;

/** What became of a packet at a firewall. */
export interface Handling {
  readonly node: number;
  readonly sentBy: Side;
  readonly isAccepted: boolean;
}

export class Connection {
  readonly ends: Ends;
  state: "opening" | "open" | "closing" | "over" | "failed" = "opening";
  /** Since `forget`. */
  handlings: Handling[] = [];
  /** The firewall that let its last packet through. */
  handler: number | undefined;
  /** When the two had spoken for the first time, and the client again. */
  established_ms: number | undefined;
  readonly #host: ConnectionHost;
  #turn: Turn | undefined;
  #turns = 0;

  constructor(ends: Ends, host: ConnectionHost) {
    this.ends = ends;
    this.#host = host;
  }

  get isBusy(): boolean {
    return this.#turn !== undefined;
  }

  get isOpen(): boolean {
    return this.state === "open";
  }

  /** What is said now is given up for it. */
  say(step: Step, by: Side, done: () => void = () => {}): void {
    if (step === "close") this.state = "closing";
    this.#turn = { number: ++this.#turns, step, by, done, tries: 0 };
    this.#try(this.#turn);
  }

  handled(handling: Handling): void {
    this.handlings.push(handling);
    if (handling.isAccepted) this.handler = handling.node;
  }

  /** At the other end, as it looks there. */
  arrived({ sentBy, turn, isAnswer, flags }: Packet): void {
    const side = sentBy === "client" ? "server" : "client";
    if (!isAnswer) {
      this.#send(side, turn, true, flags);
      return;
    }
    const current = this.#turn;
    if (current === undefined || current.number !== turn || current.by !== side) return;
    this.#turn = undefined;
    if (current.step === "open") this.#opened(turn);
    else if (current.step === "close") this.state = "over";
    else this.established_ms ??= this.#host.now();
    current.done();
  }

  #opened(turn: number): void {
    this.state = "open";
    // The third packet: nobody answers it.
    if (this.ends.protocol === "tcp") this.#transmit("client", turn, true, "A");
  }

  #try(turn: Turn): void {
    if (this.#turn !== turn) return;
    if (turn.step === "open" && turn.tries === OPENINGS_MAX) {
      this.state = "failed";
      this.#turn = undefined;
      return;
    }
    this.#send(turn.by, turn.number, false, turn.step === "open" ? "S" : turn.step === "close" ? "FA" : "A");
    const patience_u = Math.min(PATIENCE_MAX_U, PATIENCE_U * 2 ** turn.tries++);
    const jitter = this.#host.random.between(1, 1.3);
    this.#host.after(patience_u * this.#host.unit_ms * jitter, () => this.#try(turn));
  }

  #send(by: Side, turn: number, isAnswer: boolean, flags: Packet["flags"]): void {
    this.#transmit(by, turn, isAnswer, isAnswer && flags === "S" ? "SA" : flags);
  }

  #transmit(by: Side, turn: number, isAnswer: boolean, flags: Packet["flags"]): void {
    const { client, shownServer, server, shownClient, protocol } = this.ends;
    const [from, to] = by === "client" ? [client, shownServer] : [server, shownClient];
    this.#host.send({
      number: this.#host.nextNumber(),
      ends: this.ends,
      sentBy: by,
      flags: protocol === "tcp" ? flags : "",
      from,
      to,
      turn,
      isAnswer,
    });
  }
}
