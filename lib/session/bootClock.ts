// A clock that goes on while the machine is suspended, for machines without the addon, which reads CLOCK_BOOTTIME: node's own clock stands still
// meanwhile, and a lease would seem to be valid afterwards that has ended long ago. Used by datagramPortNode.ts.
import { readFileSync } from "node:fs";

/** The machine's clocks, in milliseconds. */
export interface ClockSources {
  /** Stands still while the machine is suspended. */
  readonly monotonic_ms: () => number;
  /** Goes on, but can be set. */
  readonly wall_ms: () => number;
  /** Goes on and cannot be set, but is coarse and dear to ask for. Undefined: not known. */
  readonly uptime_ms: () => number | undefined;
}

/** The wall clock says whole milliseconds, and is adjusted slowly all the time. */
const WALL_STEP_MS = 5;
/** Of /proc/uptime, which rounds down. */
const UPTIME_STEP_MS = 10;
/** One that was read quickly enough says enough. */
const READINGS_MAX = 3;

const SYSTEM: ClockSources = {
  monotonic_ms: () => performance.now(),
  wall_ms: () => Date.now(),
  uptime_ms: readUptime,
};

/** How far the uptime is ahead of the monotonic clock: neither is read at an instant. */
interface Lead {
  readonly min_ms: number;
  readonly max_ms: number;
}

export class BootClock {
  readonly #sources: ClockSources;
  /** How far the wall clock was ahead of the monotonic one when that was last looked into. */
  #wallLead_ms: number;
  readonly #leadAtStart: Lead | undefined;
  /** For how long the machine was suspended since. */
  #suspended_ms = 0;

  constructor(sources: ClockSources = SYSTEM) {
    this.#sources = sources;
    this.#wallLead_ms = sources.wall_ms() - sources.monotonic_ms();
    this.#leadAtStart = this.#readLead();
  }

  /** Only goes forward, from an arbitrary start. */
  now_ms(): number {
    const monotonic_ms = this.#sources.monotonic_ms();
    const wallLead_ms = this.#sources.wall_ms() - monotonic_ms;
    // A suspend moves it, and so does whoever sets the wall clock: the uptime tells which it was.
    if (Math.abs(wallLead_ms - this.#wallLead_ms) > WALL_STEP_MS) {
      this.#wallLead_ms = wallLead_ms;
      this.#lookForSuspend();
    }
    return monotonic_ms + this.#suspended_ms;
  }

  #lookForSuspend(): void {
    const lead = this.#readLead();
    if (lead === undefined || this.#leadAtStart === undefined) return;
    const isCertain = lead.min_ms - this.#leadAtStart.max_ms > this.#suspended_ms;
    // Rather too much, then: a lease may end early, not late.
    if (isCertain) this.#suspended_ms = lead.max_ms - this.#leadAtStart.min_ms;
  }

  #readLead(): Lead | undefined {
    let best: Lead | undefined;
    for (let reading = 0; reading < READINGS_MAX; reading++) {
      const before_ms = this.#sources.monotonic_ms();
      const uptime_ms = this.#sources.uptime_ms();
      const after_ms = this.#sources.monotonic_ms();
      if (uptime_ms === undefined) return undefined;
      const lead = { min_ms: uptime_ms - after_ms, max_ms: uptime_ms + UPTIME_STEP_MS - before_ms };
      if (best === undefined || widthOf(lead) < widthOf(best)) best = lead;
      if (after_ms - before_ms < 1) break;
    }
    return best;
  }
}

function widthOf({ min_ms, max_ms }: Lead): number {
  return max_ms - min_ms;
}

function readUptime(): number | undefined {
  try {
    const seconds = Number.parseFloat(readFileSync("/proc/uptime", "latin1"));
    return Number.isFinite(seconds) ? seconds * 1000 : undefined;
  } catch {
    return undefined;
  }
}
