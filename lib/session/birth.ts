// What a node takes from the wall clock when it starts, and from nothing else later: its number as a life of its own, and where its epochs begin. Used
// by session.ts.
import { randomInt } from "node:crypto";

const DRAWN_BITS = 22;

/**
 * Tells the lives of one node apart; the channel's challenge, not the clock, decides which one is alive. A machine without a battery for its clock
 * may start at the same wall time again and again: most of what tells two such lives apart is drawn.
 */
export function incarnationAt(wall_ms: number, drawn = randomInt(2 ** DRAWN_BITS)): bigint {
  return BigInt.asUintN(64, (BigInt(Math.floor(wall_ms)) << BigInt(DRAWN_BITS)) | BigInt(drawn));
}

/** Epochs are 32 bits wide on the token, and one that wrapped around would be older than all others: room for as many views as there will be. */
export const EPOCH_FLOOR_MAX = 0xf000_0000;

/** Where epochs begin: at the wall clock's seconds, so that they grow over a restart of all nodes. */
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
