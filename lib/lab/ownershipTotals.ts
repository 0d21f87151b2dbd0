// Sums of what both observers saw over the rounds of a scenario.

import type { ObserverReport } from "./observer.js";
import { rounded } from "./statistics.js";

export class OwnershipTotals {
  #double_ms = 0;
  #none_ms = 0;
  #leaks = 0;
  #late_ms = 0;

  add(reports: readonly ObserverReport[]): void {
    for (const report of reports) {
      this.#double_ms += report.double_owner_ms;
      this.#none_ms += report.no_owner_ms;
      this.#leaks += report.leaks;
      this.#late_ms = Math.max(this.#late_ms, report.late_ms_max);
    }
  }

  get double_owner_ms(): number {
    return rounded(this.#double_ms);
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
