// How much of the carriage a member may fill at one visit, so that nobody starves. Used by Multicast only.

/**
 * Max-min fairness: whoever wants less than an equal part gets all it wants, and the others share the rest alike. A member that
 * is alone with its wishes may fill the whole carriage; one that comes later finds its part free after one round, because
 * the others have read on the token that it waits.
 */
export function fairShare(capacity: number, othersWaiting: readonly number[]): number {
  let left = capacity;
  let sharers = othersWaiting.length + 1;
  for (const waiting of [...othersWaiting].sort((a, b) => a - b)) {
    if (waiting * sharers >= left) break;
    left -= waiting;
    sharers -= 1;
  }
  return Math.floor(left / sharers);
}
