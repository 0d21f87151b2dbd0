// Which groups may serve. Used by core.ts for every view.
import type { QuorumPolicy } from "./types.js";

/** Whether these members may serve a cluster of `configured` nodes. Of two groups without a common member, `majority` lets one serve at most. */
export function isQuorate(policy: QuorumPolicy, nodeIds: readonly number[], configured: number): boolean {
  switch (policy.policy) {
    case "available":
      return true;
    case "majority": {
      const surplus = 2 * nodeIds.length - configured;
      return surplus > 0 || (surplus === 0 && nodeIds.includes(policy.tieBreaker));
    }
    default:
      return policy satisfies never;
  }
}
