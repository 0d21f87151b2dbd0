// What the scenarios share that do something to gateways round after round: requests (and probes, where silence is measured by them) run all the
// while, transitions are noted, and at the end no request may have failed but in a transition.

import { RainfrontError } from "../errors.js";
import type { Gateway } from "./gateway.js";
import type { Lab } from "./lab.js";
import { REQUEST_TIMEOUT_MS, type RequestResult } from "./loadProtocol.js";
import type { Promises } from "./scenario.js";
import { standstillExcuse } from "./standstill.js";
import {
  HEALTHY_REQUEST_MS,
  judgeRequests,
  type RequestFigures,
  type Standing,
  type Transition,
  type TransitionKind,
} from "./transitions.js";
import { now_ms } from "./waiting.js";

const REQUESTS_PER_S = 200;
/** Long enough that a request begun right after a transition has succeeded or failed before the next event. */
export const QUIET_MS = REQUEST_TIMEOUT_MS + 200;
const SETTLE_DEADLINE_MS = 5 * REQUEST_TIMEOUT_MS;

export class LoadedRounds {
  readonly #lab: Lab;
  readonly #transitions: Transition[] = [];
  readonly #standings: Standing[] = [];
  #watched_ms = now_ms();
  #stood_ms_max = 0;
  #settled_ms: number | undefined;

  private constructor(lab: Lab) {
    this.#lab = lab;
  }

  static async begin(lab: Lab, { isProbing = true } = {}): Promise<LoadedRounds> {
    if (lab.gateways.length < 2) {
      throw new RainfrontError("RF_LAB_REFUSED", "a single gateway has nobody to take over from it", {
        fix: "use --nodes 2 or more",
      });
    }
    if (isProbing) await lab.startProbing();
    lab.load.takeResults();
    await lab.standstill.take_ms();
    lab.load.rate(REQUESTS_PER_S);
    return new LoadedRounds(lab);
  }

  /** Each gateway in turn. */
  victim(round: number): Gateway {
    return this.#lab.gateways[round % this.#lab.gateways.length] as Gateway;
  }

  /**
   * To be called before whatever may break connections. Waits until every request is answered that should have been long ago. One that
   * lost a packet in a quiet time sends it again after a second: if it met the transition then, nobody could say which of the two
   * it died of. Where requests never settle, what fails counts against the layer.
   */
  async settle(): Promise<void> {
    this.#settled_ms = await this.#lab.load.settle(HEALTHY_REQUEST_MS, SETTLE_DEADLINE_MS);
  }

  /** What was open at `from_ms`, or was begun from then until `to_ms`, and failed, may be blamed on it. */
  note(kind: TransitionKind, from_ms: number, to_ms = now_ms()): void {
    const settled_ms = this.#settled_ms ?? from_ms - HEALTHY_REQUEST_MS;
    this.#transitions.push({ kind, settled_ms, from_ms, to_ms });
    this.#settled_ms = undefined;
  }

  /**
   * For how long a CPU of the lab's machine stood still, since this was asked the last time. Where that is long enough to be an excuse, it is
   * one for the requests of that time and shortly after, and for no others.
   */
  async stood_ms(): Promise<number> {
    const stood_ms = await this.#lab.standstill.take_ms();
    const from_ms = this.#watched_ms;
    this.#watched_ms = now_ms();
    this.#stood_ms_max = Math.max(this.#stood_ms_max, stood_ms);
    const why = standstillExcuse(stood_ms, this.#lab.settings.failoverTarget_ms);
    // A member that was taken out because of it is back after such a time.
    if (why !== undefined) this.#standings.push({ from_ms, to_ms: this.#watched_ms + QUIET_MS, why });
    return stood_ms;
  }

  /** Of all that stood_ms() was asked for. */
  get stood_ms_max(): number {
    return this.#stood_ms_max;
  }

  /** Stops the requests and judges them. */
  async end(promises: Promises): Promise<RequestFigures> {
    await this.#lab.load.stop();
    await this.stood_ms();
    const results = this.#lab.load.takeResults();
    const requests = judgeRequests(results, this.#transitions, this.#standings);
    if (requests.failed_after_takeover > 0) this.#keep(results.filter((result) => result.error !== undefined));
    promises.expect(requests.ok > 0, "no request succeeded");
    promises.expect(
      requests.failed_after_takeover === 0,
      `${requests.failed_after_takeover} requests failed in quiet times`,
    );
    if (requests.failed_at_standstill > 0) {
      const times = this.#standings.map(({ why }) => why).join("; ");
      promises.leaveOpen(`${requests.failed_at_standstill} requests failed in quiet times`, times);
    }
    return requests;
  }

  /** With both clocks: the daemons' logs tell the time of day. */
  #keep(failed: readonly RequestResult[]): void {
    const clocks = { now_ms: now_ms(), day_ms: Date.now() };
    this.#lab.keep(`failed-requests-${Math.round(clocks.now_ms)}`, { clocks, transitions: this.#transitions, failed });
  }
}
