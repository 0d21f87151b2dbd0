// Faults that are drawn apart from all else, each kind by a generator of its own: what else a seed does is the same with and without, so that a
// seed that once found something goes on doing so when kinds are added. Called by swarm.ts.
import {
  drawCombination,
  drawHalfSleeps,
  drawLatecomer,
  drawNaps,
  drawRestless,
  drawStumbles,
  type Span,
} from "./combinations.js";
import type { PlannedFault, Scenario } from "./plan.js";
import { Random } from "./random.js";

/** Kinds were added in generations. A seed of the corpus found what it found with those of its time. */
export const GENERATIONS = 6;

const RUMOURS_MAX = 30;
const CLOCK_BACKS_MAX = 6;
const ABSENCES_MAX = 8;

export function drawApart(
  { seed, nodes, vips, startupWait_ms }: Scenario,
  span: Span,
  generation = GENERATIONS,
): PlannedFault[] {
  const ids = nodes.map(({ nodeId }) => nodeId);
  const first = [
    ...drawKeyRolls(seed, span),
    ...drawRumours(seed, ids, span),
    ...drawCombination(Random.for(seed, 6), ids, span),
  ];
  if (generation === 1) return first;
  const second = [
    ...first,
    ...drawClockBacks(seed, ids, span),
    ...drawLatecomer(Random.for(seed, 10), ids, span, startupWait_ms),
  ];
  if (generation === 2) return second;
  const third = [...second, ...drawAbsences(seed, ids, vips.length, span)];
  if (generation === 3) return third;
  const fourth = [...third, ...drawHalfSleeps(Random.for(seed, 12), ids, span)];
  if (generation === 4) return fourth;
  const fifth = [
    ...fourth,
    ...drawNaps(Random.for(seed, 13), ids, span),
    ...drawRestless(Random.for(seed, 14), ids, span, startupWait_ms),
  ];
  if (generation === 5) return fifth;
  return [...fifth, ...drawStumbles(Random.for(seed, 15), ids, span)];
}

function drawKeyRolls(seed: number, { start_ms, end_ms, unit_ms }: Span): PlannedFault[] {
  const random = Random.for(seed, 5);
  if (!random.chance(0.3)) return [];
  return Array.from({ length: random.integer(1, 3) }, () => ({
    at_ms: random.between(start_ms, end_ms),
    kind: "rollKeys",
    step_ms: random.logBetween(0.5, 40) * unit_ms,
  }));
}

function drawRumours(seed: number, ids: readonly number[], { start_ms, end_ms, unit_ms }: Span): PlannedFault[] {
  const random = Random.for(seed, 7);
  if (!random.chance(0.2)) return [];
  const every_ms = random.logBetween(2, 100) * unit_ms;
  const count = Math.min(RUMOURS_MAX, Math.ceil((end_ms - start_ms) / every_ms));
  return Array.from({ length: count }, () => ({
    at_ms: random.between(start_ms, end_ms),
    kind: "rumour",
    of: random.pick(ids),
    to: random.chance(0.5) ? ids : [random.pick(ids)],
  }));
}

function drawClockBacks(seed: number, ids: readonly number[], { start_ms, end_ms, unit_ms }: Span): PlannedFault[] {
  const random = Random.for(seed, 8);
  if (!random.chance(0.3)) return [];
  return Array.from({ length: random.integer(1, CLOCK_BACKS_MAX) }, () => ({
    at_ms: random.between(start_ms, end_ms),
    kind: "clockBack",
    node: random.pick(ids),
    down_ms: random.chance(0.3) ? 0 : random.logBetween(1, 80) * unit_ms,
  }));
}

/**
 * Times that are over before the faults are, and others; a return in time, one that is late, or none. In the midst of faults hardly anybody is let go:
 * often one asks before they begin. Operators ask for moves meanwhile.
 */
function drawAbsences(
  seed: number,
  ids: readonly number[],
  vips: number,
  { start_ms, end_ms, unit_ms }: Span,
): PlannedFault[] {
  const random = Random.for(seed, 11);
  if (ids.length < 2 || !random.chance(0.25)) return [];
  const isFirstEarly = random.chance(0.6);
  return Array.from({ length: random.integer(1, ABSENCES_MAX) }).flatMap((_, index): PlannedFault[] => {
    const for_ms = random.logBetween(10, 300) * unit_ms;
    const [from, to] = random.pick([
      [0, 0.9],
      [0, 0.9],
      [0.9, 1.5],
    ]);
    const back_ms = random.between(from, to) * for_ms;
    const anyTime_ms = random.between(start_ms, end_ms);
    const at_ms = isFirstEarly && index === 0 ? start_ms : anyTime_ms;
    const away = {
      at_ms,
      kind: "away",
      node: random.pick(ids),
      for_ms,
      lag_ms: random.pick([0, random.between(0, 6) * unit_ms]),
      isKilled: random.chance(0.3),
      back_ms: random.chance(0.8) ? back_ms : undefined,
    } as const;
    const move = {
      at_ms: at_ms + random.logBetween(0.5, 40) * unit_ms,
      kind: "move",
      vip: random.integer(0, vips - 1),
      asked: random.pick(ids),
      to: random.pick(ids),
    } as const;
    return random.chance(0.5) && move.at_ms < end_ms ? [away, move] : [away];
  });
}
