// Sums of what both observers saw over the rounds of a scenario.

import type { ObserverReport } from "./observer.js";
import type { Promises } from "./scenario.js";
import { rounded } from "./statistics.js";

export class OwnershipTotals {
  #double_ms = 0;
  #none_ms = 0;
  #leaks = 0;
  #reports = 0;
  readonly #unanswered = new Set<string>();
  #late_ms = 0;

  add(reports: readonly ObserverReport[]): void {
    for (const report of reports) {
      this.#double_ms += report.double_owner_ms;
      this.#none_ms += report.no_owner_ms;
      this.#leaks += report.leaks;
      if (report.vips.length > 0) this.#reports++;
      for (const { vip, answered } of report.vips) if (answered === 0) this.#unanswered.add(vip);
      this.#late_ms = Math.max(this.#late_ms, report.late_ms_max);
    }
  }

  get double_owner_ms(): number {
    return rounded(this.#double_ms);
  }

  /** One owner at most, and nothing else that shows a VIP; and that was really looked at, for every VIP. */
  promise(promises: Promises): void {
    promises.expect(this.double_owner_ms === 0, `VIPs had two owners for ${this.double_owner_ms} ms`);
    promises.expect(this.#leaks === 0, `${this.#leaks} packets showed a VIP that should not have`);
    promises.expect(this.#reports > 0, "the observers saw nothing");
    promises.expect(this.#unanswered.size === 0, `nobody ever answered for ${[...this.#unanswered].join(", ")}`);
  }

  figures() {
    return {
      double_owner_ms: this.double_owner_ms,
      no_owner_ms: rounded(this.#none_ms),
      vip_leaks: this.#leaks,
      observer_late_ms_max: rounded(this.#late_ms),
    };
  }
}
