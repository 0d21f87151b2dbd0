// Nodes with planned absences on a token of their own, for the tests of both.
import assert from "node:assert/strict";
import type { TokenContext } from "../../lib/raincore/types.js";
import { type AbsenceOutcome, Absences } from "../../lib/vip/absences.js";

export const LEASE_MS = 100;
export const PATIENCE_MS = 10_000;

/** Nodes 1 to `count` that hand a carriage round, a millisecond each. */
export class Ring {
  now_ms = 1000;
  readonly outcomes: AbsenceOutcome[] = [];
  readonly changes: number[] = [];
  readonly modules: Map<number, Absences>;
  members: number[];
  ready: number[];
  carriage: Uint8Array | undefined;
  epoch = 1;
  leaseless = new Set<number>();
  readonly incarnations = new Map<number, bigint>();
  waiting = new Set<number>();

  constructor(count = 3, policy: "available" | "majority" = "available") {
    this.members = Array.from({ length: count }, (_, index) => index + 1);
    this.ready = this.members;
    this.modules = new Map(this.members.map((self) => [self, this.#module(self, count, policy)]));
  }

  #module(self: number, count: number, policy: "available" | "majority"): Absences {
    return new Absences({
      self,
      nodeIds: Array.from({ length: count }, (_, index) => index + 1),
      isQuorate: (nodeIds) => policy === "available" || 2 * nodeIds.length > count,
      needsEverybody: policy === "available",
      patience_ms: PATIENCE_MS,
      isServing: () => !this.waiting.has(self),
      onOutcome: (outcome) => this.outcomes.push(outcome),
      onChange: () => this.changes.push(self),
    });
  }

  of(nodeId: number): Absences {
    const module = this.modules.get(nodeId);
    assert.ok(module);
    return module;
  }

  absentAt(nodeId: number): number[] {
    return [...this.of(nodeId).remaining_ms(this.now_ms).keys()];
  }

  visit(self: number, change: Partial<TokenContext> = {}): void {
    this.now_ms += 1;
    const members = this.members.map((nodeId) => ({
      nodeId,
      incarnation: this.incarnations.get(nodeId) ?? 1n,
      ready: this.ready.includes(nodeId),
    }));
    this.carriage = this.of(self).onToken(
      {
        now_ms: this.now_ms,
        self,
        view: { epoch: this.epoch, origin: 1, members, self, quorate: true },
        confirmed: true,
        tokenReceived_ms: this.now_ms,
        removed: [],
        missedQuorum: false,
        lacking: new Set(),
        leaving: false,
        hasten: () => {},
        lease_ms: LEASE_MS,
        leaseValid: !this.leaseless.has(self),
        mayBeServedOutside: false,
        ...change,
      },
      this.carriage,
    );
  }

  round(): void {
    for (const nodeId of this.members) this.visit(nodeId);
  }

  without(nodeId: number): void {
    this.members = this.members.filter((each) => each !== nodeId);
    this.ready = this.ready.filter((each) => each !== nodeId);
    this.epoch += 1;
  }
}

/** Node 1 is away, and the others are without it. */
export function away(ring: Ring): void {
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  ring.round();
  ring.without(1);
  ring.round();
}
