// Waiting for a condition with a deadline: the only way in which the lab waits for anything to happen.

import { setTimeout as delay } from "node:timers/promises";
import { RainfrontError } from "../errors.js";

export interface Patience {
  readonly deadline_ms: number;
  readonly poll_ms?: number;
}

/** The clock that all processes of the lab share (CLOCK_MONOTONIC), in milliseconds. */
export function now_ms(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Asks until the condition is met. What `ask` says of an unmet condition is repeated in the error.
 */
export async function waitFor<T>(
  what: string,
  patience: Patience,
  ask: () => Promise<{ readonly met: T } | { readonly unmet: string }>,
): Promise<T> {
  const end_ms = now_ms() + patience.deadline_ms;
  for (;;) {
    const answer = await ask();
    if ("met" in answer) return answer.met;
    if (now_ms() > end_ms) {
      throw new RainfrontError(
        "RF_LAB_TIMEOUT",
        `${what}: not within ${patience.deadline_ms} ms; last seen: ${answer.unmet}`,
        { fix: "see the logs in the lab's run folder" },
      );
    }
    await delay(patience.poll_ms ?? 20);
  }
}

/** Lets traffic run for a measured time. Not a way to wait for something. */
export async function measureFor(time_ms: number): Promise<void> {
  await delay(time_ms);
}
