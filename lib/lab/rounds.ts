// What the scenarios share that do something to gateways round after round: requests (and probes, where silence is measured by them) run all the
// while, transitions are noted, and at the end no request may have failed but in a transition.

import { RainfrontError } from "../errors.js";
import type { Gateway } from "./gateway.js";
import type { Lab } from "./lab.js";
import { REQUEST_TIMEOUT_MS, type RequestResult } from "./loadProtocol.js";
import type { Promises } from "./scenario.js";
import { Stops } from "./standstill.js";
import {
  HEALTHY_REQUEST_MS,
  judgeRequests,
  type RequestFigures,
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
  /** Of the machine, since the requests began. */
  readonly stops: Stops;
  #settled_ms: number | undefined;

  private constructor(lab: Lab, stops: Stops) {
    this.#lab = lab;
    this.stops = stops;
  }

  static async begin(lab: Lab, { isProbing = true } = {}): Promise<LoadedRounds> {
    if (lab.gateways.length < 2) {
      throw new RainfrontError("RF_LAB_REFUSED", "a single gateway has nobody to take over from it", {
        fix: "use --nodes 2 or more",
      });
    }
    if (isProbing) await lab.startProbing();
    lab.load.takeResults();
    const stops = await Stops.since(lab.standstill, lab.settings.failoverTarget_ms);
    lab.load.rate(REQUESTS_PER_S);
    return new LoadedRounds(lab, stops);
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

  /** Stops the requests and judges them. */
  async end(promises: Promises): Promise<RequestFigures> {
    await this.#lab.load.stop();
    await this.stops.take_ms();
    const results = this.#lab.load.takeResults();
    const requests = judgeRequests(results, this.#transitions, (from_ms, to_ms) =>
      this.stops.excuseFor(from_ms, to_ms),
    );
    if (requests.failed_after_takeover > 0) this.#keep(results.filter((result) => result.error !== undefined));
    promises.expect(requests.ok > 0, "no request succeeded");
    promises.expect(
      requests.failed_after_takeover === 0,
      `${requests.failed_after_takeover} requests failed in quiet times`,
    );
    if (requests.failed_at_standstill > 0) {
      promises.leaveOpen(
        `${requests.failed_at_standstill} requests failed in quiet times`,
        requests.excuses.join("; "),
      );
    }
    return requests;
  }

  /** With both clocks: the daemons' logs tell the time of day. */
  #keep(failed: readonly RequestResult[]): void {
    const clocks = { now_ms: now_ms(), day_ms: Date.now() };
    this.#lab.keep(`failed-requests-${Math.round(clocks.now_ms)}`, { clocks, transitions: this.#transitions, failed });
  }
}
