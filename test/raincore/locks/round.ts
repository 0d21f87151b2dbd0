// Nodes that the token visits one after the other when a lock test says so, and what clients ask and hear there.
import assert from "node:assert/strict";
import { decodeLocks } from "../../../lib/raincore/locks/codec.js";
import { LEASE_MS, TestNode, type VisitOptions } from "./context.js";

export const client = "test";

/** The token goes round these nodes, in a table that is past its first wait. */
export class Round {
  now_ms = 1000;
  bytes: Uint8Array | undefined;
  readonly nodes: readonly TestNode[];

  constructor(...nodes: TestNode[]) {
    this.nodes = nodes;
    this.visit(0);
    this.now_ms += LEASE_MS;
    this.go();
  }

  visit(index: number, options: VisitOptions = {}): void {
    this.now_ms += 1;
    this.bytes = this.nodes[index]?.visit(this.now_ms, this.bytes, options);
  }

  go(options: VisitOptions = {}): void {
    for (const index of this.nodes.keys()) this.visit(index, options);
  }

  acquire(index: number, name = "a", options: { wait_ms?: number; ttl_ms?: number } = {}): number {
    return this.nodes[index]?.locks.acquire(this.now_ms, name, { client, ...options }) ?? 0;
  }

  table() {
    const table = this.bytes && decodeLocks(this.bytes);
    assert.ok(table);
    return table;
  }

  get calm_ms(): number {
    return this.table().calm.wait_ms;
  }
}

export const three = () => new Round(new TestNode(1), new TestNode(2), new TestNode(3));
export const said = (round: Round) => round.nodes.map((node) => node.said());
