// A visit of the token as the lock tests make it up.
import { type LockEvent, Locks } from "../../../lib/raincore/locks/locks.js";
import type { TokenContext } from "../../../lib/raincore/types.js";

export const LEASE_MS = 100;

export interface VisitOptions extends Partial<Omit<TokenContext, "view">> {
  /** nodeIds; incarnation 1 each, unless given as [nodeId, incarnation]. */
  readonly members?: readonly (number | readonly [nodeId: number, incarnation: bigint])[];
  readonly epoch?: number;
  readonly origin?: number;
  readonly quorate?: boolean;
}

export function context(self: number, now_ms: number, options: VisitOptions = {}): TokenContext {
  const { members = [1, 2, 3], epoch = 1, origin = 1, quorate = true, ...change } = options;
  const records = members.map((member) => {
    const [nodeId, incarnation] = typeof member === "number" ? [member, 1n] : member;
    return { nodeId, incarnation, ready: true };
  });
  return {
    now_ms,
    self,
    view: { epoch, origin, members: records, self, quorate },
    confirmed: true,
    tokenReceived_ms: now_ms,
    removed: [],
    missedQuorum: false,
    lacking: new Set(),
    leaving: false,
    hasten: () => {},
    lease_ms: LEASE_MS,
    leaseValid: true,
    mayBeServedOutside: false,
    ...change,
  };
}

/** A node with a valid lease that nothing ends. */
export class TestNode {
  readonly events: LockEvent[] = [];
  readonly locks: Locks;
  readonly nodeId: number;
  hastened = 0;

  constructor(nodeId: number, options: { requestsMax?: number; leaseUntil_ms?: number } = {}) {
    this.nodeId = nodeId;
    const { requestsMax = 256, leaseUntil_ms = 1e9 } = options;
    this.locks = new Locks({ self: nodeId, onEvent: (event) => this.events.push(event), requestsMax });
    if (leaseUntil_ms > 0) this.locks.onLease(leaseUntil_ms, 0);
  }

  visit(now_ms: number, bytes: Uint8Array | undefined, options: VisitOptions = {}): Uint8Array {
    const hasten = () => {
      this.hastened += 1;
    };
    const after = this.locks.onToken(context(this.nodeId, now_ms, { hasten, ...options }), bytes);
    if (after === undefined) throw new Error("a lock table is always carried on");
    return after;
  }

  /** The events since the last call, as short words. */
  said(): string[] {
    return this.events.splice(0).map((event) => {
      const cause = "reason" in event ? ` ${event.reason}` : "";
      return `${event.type}${cause} ${event.id}`;
    });
  }
}
