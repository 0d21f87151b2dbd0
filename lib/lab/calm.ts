// A time in which nobody died: what happened all the same? From the observers' reports, window after window. Pure; used by the
// stress scenario.

import type { ObserverReport } from "./observer.js";
import { cutShort } from "./ownerTimes.js";
import { rounded } from "./statistics.js";

export interface CalmFigures {
  /** Times that a VIP was answered for by another MAC than before. */
  readonly vip_moves: number;
  /** Unasked announcements by a MAC that did not own the VIP at the beginning. */
  readonly announcements_by_others: number;
  readonly double_owner_ms: number;
  /** Times that a VIP had not one answer in a whole window. */
  readonly silent_windows: number;
  readonly longest_silence_ms: number;
  readonly observer_late_ms_max: number;
  /** VIPs changed hands more often than observers report: the figures are lower bounds. */
  readonly at_least: boolean;
}

export class Calm {
  readonly #first = new Map<string, string>();
  readonly #latest = new Map<string, string>();
  #moves = 0;
  #foreign = 0;
  #silent = 0;
  #double_ms = 0;
  #silence_ms = 0;
  #late_ms = 0;
  #atLeast = false;

  /** @param owners who has which VIP when it begins */
  constructor(owners: ReadonlyMap<string, string>) {
    this.#first = new Map(owners);
    this.#latest = new Map(owners);
  }

  add(reports: readonly ObserverReport[]): void {
    if (cutShort(reports).length > 0) this.#atLeast = true;
    for (const report of reports) {
      this.#double_ms += report.double_owner_ms;
      this.#late_ms = Math.max(this.#late_ms, report.late_ms_max);
      for (const { vip, asked, answered, owners, announcements, longest_silence_ms } of report.vips) {
        if (asked > 0 && answered === 0) this.#silent++;
        this.#silence_ms = Math.max(this.#silence_ms, longest_silence_ms);
        for (const [mac, count] of Object.entries(announcements)) {
          if (mac !== this.#first.get(vip)) this.#foreign += count;
        }
        // By their ends: whoever answered last has it.
        for (const { mac, answers } of [...owners].sort((a, b) => a.to_ms - b.to_ms)) {
          if (answers > 0) this.#take(vip, mac);
        }
      }
    }
  }

  #take(vip: string, mac: string): void {
    if (this.#latest.get(vip) !== mac) this.#moves++;
    this.#latest.set(vip, mac);
  }

  figures(): CalmFigures {
    return {
      vip_moves: this.#moves,
      announcements_by_others: this.#foreign,
      double_owner_ms: rounded(this.#double_ms),
      silent_windows: this.#silent,
      longest_silence_ms: rounded(this.#silence_ms),
      observer_late_ms_max: rounded(this.#late_ms),
      at_least: this.#atLeast,
    };
  }
}
