// The numbers by which the lives of a node are told apart, as a daemon draws them from its wall clock. Used by node.ts.

// What clocks that go right begin with; those that were set back count down from there, in steps that no number of views fills: a view's name
// does not come twice.
const INCARNATION = 1_000_000n;
const EPOCH = 1_000_000;
const EPOCHS_PER_LIFE = 1000;

/** Another one for every life, and greater than all before unless the clock was set back. */
export function incarnationOf(life: number, isSetBack: boolean): bigint {
  return isSetBack ? INCARNATION - BigInt(life) : INCARNATION + BigInt(life);
}

/** As the seconds of the wall clock: grows faster than views are made, so that numbers grow even when all nodes start anew. */
export function epochFloorOf(life: number, isSetBack: boolean, now_ms: number): number {
  return isSetBack ? EPOCH - life * EPOCHS_PER_LIFE : EPOCH + Math.floor(now_ms);
}
