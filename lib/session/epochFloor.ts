// Where a node's epochs begin: above the wall clock's seconds, so that they grow over a restart of all nodes. Used by session.ts.

/** Epochs are 32 bits wide on the token, and one that wrapped around would be older than all others: room for as many views as there will be. */
export const EPOCH_FLOOR_MAX = 0xf000_0000;

export interface EpochFloor {
  readonly epochFloor: number;
  /** The clock shows a time beyond what epochs can have: those of this life need not be above those of the last one. */
  readonly isClamped: boolean;
}

export function epochFloorAt(wall_ms: number): EpochFloor {
  const seconds = Math.floor(wall_ms / 1000);
  const epochFloor = Math.min(Math.max(seconds, 0), EPOCH_FLOOR_MAX);
  return { epochFloor, isClamped: epochFloor !== seconds };
}
