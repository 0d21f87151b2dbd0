// Which gateways are on which side of a split. Pure; used by the partition scenario.

export interface Halves {
  /** More than half of all, or exactly half with the tie-breaker. */
  readonly majority: readonly number[];
  readonly minority: readonly number[];
}

/** Another minority each round, of half the gateways at most. Where both sides are equal, the tie-breaker's is the majority. */
export function halvesOf(ids: readonly number[], round: number, tieBreaker: number): Halves {
  const size = Math.floor(ids.length / 2);
  if (size === 0) throw new RangeError("a single gateway cannot be split");
  const isTie = size * 2 === ids.length;
  const candidates = isTie ? ids.filter((id) => id !== tieBreaker) : ids;
  const first = (round * size) % candidates.length;
  const minority = Array.from({ length: size }, (_, i) => candidates[(first + i) % candidates.length] as number);
  return { majority: ids.filter((id) => !minority.includes(id)), minority };
}
