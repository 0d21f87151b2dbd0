// What the scenarios share that do something to gateways round after round: probes and requests run all the while, transitions
// are noted, and at the end no request may have failed but in a transition.

import { RainfrontError } from "../errors.js";
import type { Gateway } from "./gateway.js";
import type { Lab } from "./lab.js";
import { REQUEST_TIMEOUT_MS } from "./loadProtocol.js";
import type { Promises } from "./scenario.js";
import { judgeRequests, type RequestFigures, type Transition, type TransitionKind } from "./transitions.js";
import { now_ms } from "./waiting.js";

const REQUESTS_PER_S = 200;
/** Long enough that a request begun right after a transition has succeeded or failed before the next event. */
export const QUIET_MS = REQUEST_TIMEOUT_MS + 200;

export class LoadedRounds {
  readonly #lab: Lab;
  readonly #transitions: Transition[] = [];

  private constructor(lab: Lab) {
    this.#lab = lab;
  }

  static async begin(lab: Lab): Promise<LoadedRounds> {
    if (lab.gateways.length < 2) {
      throw new RainfrontError("RF_LAB_REFUSED", "a single gateway has nobody to take over from it", {
        fix: "use --nodes 2 or more",
      });
    }
    await lab.startProbing();
    lab.load.takeResults();
    lab.load.rate(REQUESTS_PER_S);
    return new LoadedRounds(lab);
  }

  /** Each gateway in turn. */
  victim(round: number): Gateway {
    return this.#lab.gateways[round % this.#lab.gateways.length] as Gateway;
  }

  /** What failed from then until `to_ms` may be blamed on it. */
  note(kind: TransitionKind, from_ms: number, to_ms = now_ms()): void {
    this.#transitions.push({ kind, from_ms, to_ms });
  }

  /** Stops the requests and judges them. */
  async end(promises: Promises): Promise<RequestFigures> {
    await this.#lab.load.stop();
    const requests = judgeRequests(this.#lab.load.takeResults(), this.#transitions);
    promises.expect(requests.ok > 0, "no request succeeded");
    promises.expect(
      requests.failed_after_takeover === 0,
      `${requests.failed_after_takeover} requests failed in quiet times`,
    );
    return requests;
  }
}
