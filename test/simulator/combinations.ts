// Faults that hardly ever meet by chance, drawn together: some rules of the ring are only needed when one fault begins before another one
// has been got over. Added to the other faults of a few seeds. Called by swarm.ts.
import type { PlannedFault } from "./plan.js";
import type { Random } from "./random.js";

/** When faults may begin. */
export interface Span {
  readonly start_ms: number;
  readonly end_ms: number;
  readonly unit_ms: number;
  readonly lease_ms: number;
}

interface Draw {
  readonly random: Random;
  readonly ids: readonly number[];
  readonly span: Span;
}

const COMBINATIONS: readonly ((draw: Draw) => PlannedFault[])[] = [relayOfStops, tangles, jams];
const CHANCE = 0.3;

/** Drawn apart, so that everything else in a seed is the same with and without. */
export function drawCombination(random: Random, ids: readonly number[], span: Span): PlannedFault[] {
  if (ids.length < 2 || !random.chance(CHANCE)) return [];
  return random
    .pick(COMBINATIONS)({ random, ids, span })
    .filter((fault) => fault.at_ms < span.end_ms);
}

/**
 * One side is stopped for so long that the other one goes on without it, and that one just before the first wakes: who wakes finds silence,
 * behind which there are leases.
 */
function relayOfStops({ random, ids, span: { start_ms, end_ms, unit_ms } }: Draw): PlannedFault[] {
  const faults: PlannedFault[] = [];
  const shuffled = random.shuffled(ids);
  const split = random.integer(1, ids.length - 1);
  let [side, other] = [shuffled.slice(0, split), shuffled.slice(split)];
  for (let at_ms = start_ms; at_ms < end_ms; ) {
    const for_ms = random.between(20, 60) * unit_ms;
    const isDeaf = random.chance(0.7);
    for (const node of side)
      faults.push({ at_ms, kind: "pause", node, for_ms: for_ms + random.between(0, unit_ms), isDeaf });
    [side, other] = [other, side];
    at_ms += for_ms + (random.chance(0.3) ? 60 : -random.between(1, 15)) * unit_ms;
  }
  return faults;
}

const LATECOMER_CHANCE = 0.1;

/**
 * All are stopped but for one that starts anew meanwhile, and forms a group just before the others wake: they find each other well and nobody
 * missing, and yet are not alone. Drawn apart as well.
 */
export function drawLatecomer(
  random: Random,
  ids: readonly number[],
  { start_ms, end_ms, unit_ms }: Span,
  startupWait_ms: number,
): PlannedFault[] {
  if (ids.length < 2 || !random.chance(LATECOMER_CHANCE)) return [];
  const [latecomer, ...others] = random.shuffled(ids);
  if (latecomer === undefined) return [];
  const at_ms = random.between(start_ms, (start_ms + end_ms) / 2);
  const dies_ms = at_ms + random.between(0, 10) * unit_ms;
  const down_ms = random.between(0, 10) * unit_ms;
  const wake_ms = dies_ms + down_ms + startupWait_ms + random.between(0, 20) * unit_ms;
  const pauses = others.map((node) => {
    return { at_ms, kind: "pause", node, for_ms: wake_ms - at_ms + random.between(0, unit_ms) } as const;
  });
  const faults: PlannedFault[] = [...pauses, { at_ms: dies_ms, kind: "crash", node: latecomer, down_ms }];
  return faults.filter((fault) => fault.at_ms < end_ms);
}

const HALF_SLEEP_CHANCE = 0.12;

/**
 * One is stopped for somewhat less than its lease, and the others, which went on without it, from shortly before it wakes: it asks while its lease
 * ends and the others' leases, with which they answer for its VIPs by then, do not. Then all are left alone for a while. Drawn apart as well.
 */
export function drawHalfSleeps(
  random: Random,
  ids: readonly number[],
  { start_ms, end_ms, unit_ms, lease_ms }: Span,
): PlannedFault[] {
  if (ids.length < 2 || !random.chance(HALF_SLEEP_CHANCE)) return [];
  const faults: PlannedFault[] = [];
  for (let at_ms = start_ms; at_ms < end_ms; at_ms += random.between(90, 130) * unit_ms) {
    const [sleeper, ...others] = random.shuffled(ids);
    if (sleeper === undefined) return [];
    const for_ms = random.between(0.7, 1) * lease_ms;
    const wakes_ms = at_ms + for_ms;
    faults.push({ at_ms, kind: "pause", node: sleeper, for_ms, isDeaf: random.chance(0.8) });
    const until_ms = wakes_ms + random.between(8, 25) * unit_ms;
    const from_ms = wakes_ms - random.between(1, 8) * unit_ms;
    for (const node of others) faults.push({ at_ms: from_ms, kind: "pause", node, for_ms: until_ms - from_ms });
  }
  return faults.filter((fault) => fault.at_ms < end_ms);
}

const NAP_CHANCE = 0.2;

/**
 * One is stopped for as long as the others need to give it up, and not for so long that it doubts itself; they are stopped from about when it wakes, while
 * what they have decided comes into force. Drawn apart as well.
 */
export function drawNaps(random: Random, ids: readonly number[], { start_ms, end_ms, unit_ms }: Span): PlannedFault[] {
  if (ids.length < 2 || !random.chance(NAP_CHANCE)) return [];
  const faults: PlannedFault[] = [];
  for (let at_ms = start_ms; at_ms < end_ms; at_ms += random.between(60, 110) * unit_ms) {
    const [napper, ...others] = random.shuffled(ids);
    if (napper === undefined) return [];
    const for_ms = random.between(8.5, 15) * unit_ms;
    faults.push({ at_ms, kind: "pause", node: napper, for_ms, isDeaf: random.chance(0.5) });
    const from_ms = at_ms + for_ms - random.between(-1, 5) * unit_ms;
    const until_ms = from_ms + random.between(15, 40) * unit_ms;
    for (const node of others) faults.push({ at_ms: from_ms, kind: "pause", node, for_ms: until_ms - from_ms });
  }
  return faults.filter((fault) => fault.at_ms < end_ms);
}

const STUMBLE_CHANCE = 0.2;

/**
 * One is stopped twice with a moment between: so that it misses the beginning of a hand-over, has a say in what becomes of the token, and misses the end. The
 * others are stopped from about when it wakes, as after a nap. Drawn apart as well.
 */
export function drawStumbles(
  random: Random,
  ids: readonly number[],
  { start_ms, end_ms, unit_ms }: Span,
): PlannedFault[] {
  if (ids.length < 2 || !random.chance(STUMBLE_CHANCE)) return [];
  const faults: PlannedFault[] = [];
  for (let at_ms = start_ms; at_ms < end_ms; at_ms += random.between(50, 90) * unit_ms) {
    const [stumbler, ...others] = random.shuffled(ids);
    if (stumbler === undefined) return [];
    const first_ms = random.between(1, 4) * unit_ms;
    const again_ms = at_ms + first_ms + random.between(0.5, 2.5) * unit_ms;
    const second_ms = random.between(4, 9) * unit_ms;
    const from_ms = again_ms + second_ms - random.between(-0.3, 2) * unit_ms;
    const until_ms = from_ms + random.between(12, 40) * unit_ms;
    faults.push({ at_ms, kind: "pause", node: stumbler, for_ms: first_ms, isDeaf: random.chance(0.8) });
    faults.push({ at_ms: again_ms, kind: "pause", node: stumbler, for_ms: second_ms, isDeaf: random.chance(0.8) });
    for (const node of others) faults.push({ at_ms: from_ms, kind: "pause", node, for_ms: until_ms - from_ms });
  }
  return faults.filter((fault) => fault.at_ms < end_ms);
}

const RESTLESS_CHANCE = 0.08;

/** One starts anew, and is stopped again and again while it listens for a group, each time too shortly to doubt what it has heard. Drawn apart as well. */
export function drawRestless(
  random: Random,
  ids: readonly number[],
  { start_ms, end_ms, unit_ms }: Span,
  startupWait_ms: number,
): PlannedFault[] {
  if (ids.length < 2 || !random.chance(RESTLESS_CHANCE)) return [];
  const node = random.pick(ids);
  const born_ms = random.between(start_ms, (start_ms + end_ms) / 2);
  const faults: PlannedFault[] = [{ at_ms: born_ms, kind: "crash", node, down_ms: 0 }];
  const awake_u = random.pick([0.05, 1, 6]);
  const until_ms = born_ms + startupWait_ms + 60 * unit_ms;
  for (let at_ms = born_ms + random.between(0, awake_u) * unit_ms; at_ms < until_ms; ) {
    const for_ms = random.between(6, 18) * unit_ms;
    faults.push({ at_ms, kind: "pause", node, for_ms, isDeaf: random.chance(0.8) });
    at_ms += for_ms + random.between(0.01, awake_u) * unit_ms;
  }
  return faults.filter((fault) => fault.at_ms < end_ms);
}

/** Who hears whom is drawn for every pair: some hear two that do not hear each other. Nodes start anew meanwhile. */
function tangles({ random, ids, span: { start_ms, end_ms, unit_ms } }: Draw): PlannedFault[] {
  const faults: PlannedFault[] = [];
  let at_ms = start_ms;
  while (at_ms < end_ms) {
    const for_ms = random.logBetween(10, 120) * unit_ms;
    faults.push({ at_ms, kind: "tangle", cuts: drawCuts(random, ids), for_ms });
    // Around its end, when groups meet: one starts anew while another cannot notice.
    const meets_ms = at_ms + for_ms + random.between(-5, 5) * unit_ms;
    const [first, second] = random.shuffled(ids);
    if (first !== undefined && second !== undefined) {
      const isBack = random.chance(0.7);
      faults.push({
        at_ms: meets_ms,
        kind: "crash",
        node: first,
        down_ms: isBack ? 0 : random.between(1, 20) * unit_ms,
      });
      const early_ms = random.between(0, 8) * unit_ms;
      if (random.chance(0.7))
        faults.push({
          at_ms: meets_ms - early_ms,
          kind: "pause",
          node: second,
          for_ms: random.between(10, 50) * unit_ms,
        });
    }
    at_ms += for_ms + random.between(-20, 20) * unit_ms;
  }
  return faults;
}

function drawCuts(random: Random, ids: readonly number[]): { from: number; to: number }[] {
  const chance = random.between(0.1, 0.6);
  const cuts: { from: number; to: number }[] = [];
  for (const [index, a] of ids.entries()) {
    for (const b of ids.slice(index + 1)) {
      if (!random.chance(chance)) continue;
      const [there, back] = random.pick([
        [true, true],
        [true, false],
        [false, true],
      ]);
      if (there) cuts.push({ from: a, to: b });
      if (back) cuts.push({ from: b, to: a });
    }
  }
  return cuts;
}

/** What a node sends stays in a queue for a while, and comes when others have acted on its silence; it may have died meanwhile. */
function jams({ random, ids, span: { start_ms, end_ms, unit_ms } }: Draw): PlannedFault[] {
  const faults: PlannedFault[] = [];
  for (let at_ms = start_ms; at_ms < end_ms; at_ms += random.between(20, 80) * unit_ms) {
    const node = random.pick(ids);
    faults.push({ at_ms, kind: "jam", node, for_ms: random.between(4, 25) * unit_ms });
    const end = random.integer(0, 2);
    const within_ms = random.between(0, 7) * unit_ms;
    if (end === 1)
      faults.push({ at_ms: at_ms + within_ms, kind: "crash", node, down_ms: random.between(10, 60) * unit_ms });
    if (end === 2)
      faults.push({ at_ms: at_ms + within_ms, kind: "pause", node, for_ms: random.between(10, 60) * unit_ms });
  }
  return faults;
}
