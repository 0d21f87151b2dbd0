// Handing the token to the next member until it is known to have arrived. In a calm ring an idle token is handed over *quietly*: the receiver
// does not answer, the token itself, coming round, is the answer, and every member is spared a wake-up in each round. Only if the token does
// not come is it sent again, and then it is answered; if it is not, it is called for. A ring in which anything was lost lately hands over loudly.
// Owned by ring.ts.
import type { Core } from "./core.js";
import { Delivery, type FailedDelivery, type Schedule } from "./delivery.js";
import { compareTokens, type TokenId } from "./token.js";
import type { Transport } from "./transport/transport.js";

/** So many rounds without any trouble make a ring calm. Few: a machine that is late now and then would be spared nothing. */
const CALM_ROUNDS = 32;
/** One in so many is loud all the same: paths are only known by answers. */
const LOUD_EVERY = 32;
/**
 * Parts of a unit: a token that comes round at 4 is not missed before that. Sent again one unit later, it is called for if that is not answered soon: before
 * those who only wait for it call (at 6), because the newest copy is here.
 */
const QUIET_U = 3.5;
const QUIET_CALL_U = 5.5;

interface Pending {
  readonly to: number;
  readonly id: TokenId;
  readonly isQuiet: boolean;
}

export class HandOver {
  readonly #core: Core;
  readonly #transport: Transport;
  readonly #delivery: Delivery;
  readonly #loud: Schedule;
  readonly #quiet: Schedule;
  readonly #calmRounds: number;
  #pending: Pending | undefined;
  #last: Pending | undefined;
  #roundsInPeace = 0;

  constructor(core: Core, transport: Transport) {
    this.#core = core;
    this.#transport = transport;
    const { unit_ms, handOverFail_ms } = core.timers;
    const { tokenResendMin_ms: min_ms, tokenResendMax_ms: max_ms } = transport.times;
    this.#calmRounds = core.config.calmRounds ?? CALM_ROUNDS;
    this.#loud = { gap: { min_ms, max_ms }, fail_ms: handOverFail_ms, everyPath: false };
    this.#quiet = {
      gap: { min_ms: unit_ms, max_ms: unit_ms },
      fail_ms: QUIET_CALL_U * unit_ms,
      everyPath: false,
      quiet_ms: QUIET_U * unit_ms,
    };
    this.#delivery = new Delivery(
      {
        transmit: (to, path, bytes) => core.transmit(to, path, bytes),
        probe: (to) => core.probe(to),
        onResend: () => {
          core.count("hand_over_resent");
          this.trouble();
        },
      },
      transport,
    );
  }

  /** Sent, and not known to have arrived. */
  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Sent so that it is not answered: it has arrived, most likely. */
  get isQuiet(): boolean {
    return this.#pending?.isQuiet === true;
  }

  get deadline_ms(): number {
    return this.#delivery.deadline_ms;
  }

  /** Whether the token of an idle round may go on quietly now. */
  get mayBeQuiet(): boolean {
    return this.#roundsInPeace >= this.#calmRounds && this.#roundsInPeace % LOUD_EVERY !== 0;
  }

  /** Whether it goes as one datagram; else in parts. */
  isWhole(bytes: Uint8Array): boolean {
    return bytes.length <= this.#transport.packetBytes_max;
  }

  start(to: number, id: TokenId, bytes: Uint8Array, isQuiet: boolean): void {
    this.#roundsInPeace += 1;
    this.#pending = { to, id, isQuiet };
    this.#last = this.#pending;
    const { now_ms } = this.#core;
    this.#delivery.start(now_ms, to, bytes, isQuiet ? this.#quiet : this.#loud, this.#core.isSuspect(to));
  }

  /** Something was lost or has changed: the next rounds are loud. */
  trouble(): void {
    this.#roundsInPeace = 0;
  }

  /** This token was sent to that node, and an answer is waited for. */
  isTo(to: number, id: TokenId): boolean {
    return isSame(this.#pending, to, id);
  }

  /** It answered, over `path`. */
  settle(from: number, path: number): void {
    this.#delivery.settle(this.#core.now_ms, from, path);
  }

  /** An answer that settles nothing; if it is one to a duplicate, its path is up. */
  onStaleAck(from: number, path: number, id: TokenId): void {
    this.#core.count("ack_stale");
    if (isSame(this.#last, from, id)) this.#transport.paths.replied(from, path, this.#core.now_ms);
  }

  /** A hand-over in parts is through, or is not. */
  partsSettled(to: number, parts: number, delivered: boolean): void {
    this.#delivery.partsSettled(this.#core.now_ms, to, parts, delivered);
  }

  suspect(nodeId: number): void {
    this.trouble();
    this.#delivery.suspect(this.#core.now_ms, nodeId);
  }

  refused(to: number, path: number): void {
    this.#delivery.refused(this.#core.now_ms, to, path);
  }

  /** Resends what is due; the hand-over if it has failed. */
  tick(): FailedDelivery[] {
    return this.#delivery.tick(this.#core.now_ms);
  }

  /** Over, one way or the other. */
  clear(): void {
    this.#delivery.clear(this.#core.now_ms);
    this.#pending = undefined;
  }
}

function isSame(pending: Pending | undefined, to: number, id: TokenId): boolean {
  return pending !== undefined && pending.to === to && compareTokens(pending.id, id) === 0;
}
