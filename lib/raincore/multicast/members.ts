// What the carriage knows of the members, kept in step with the view. Used by Multicast only.
import type { TokenContext } from "../types.js";
import type { Carriage, MemberEntry } from "./codec.js";

/**
 * The view's members in its order, as copies that may be changed, but for those that are known to have no multicast: nothing can wait for them. Who
 * is new starts at the top; so does who is in the view and was removed from it, for it has lost its state and is back.
 */
export function alignMembers(carriage: Carriage, ctx: TokenContext): MemberEntry[] {
  const { top, members } = carriage;
  const renewed = new Set(ctx.removed.map(({ nodeId }) => nodeId));
  const known = new Map(members.map((member) => [member.nodeId, member]));
  return ctx.view.members.flatMap(({ nodeId }) => {
    if (ctx.lacking.has(nodeId)) return [];
    const entry = renewed.has(nodeId) ? undefined : known.get(nodeId);
    return [entry === undefined ? { nodeId, upTo: top, sent: 0, waiting: 0 } : { ...entry }];
  });
}

/** The order that all of them have received. */
export function lowestUpTo(members: readonly MemberEntry[], top: number): number {
  return members.reduce((lowest, { upTo }) => Math.min(lowest, upTo), top);
}

export function areSameMembers(a: readonly MemberEntry[], b: readonly MemberEntry[]): boolean {
  return a.length === b.length && a.every((entry, index) => isSameEntry(entry, b[index]));
}

function isSameEntry(a: MemberEntry, b: MemberEntry | undefined): boolean {
  return a.nodeId === b?.nodeId && a.upTo === b.upTo && a.sent === b.sent && a.waiting === b.waiting;
}
