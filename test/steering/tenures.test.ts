import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Tenures } from "../../lib/steering/tenures.js";

const lives = (...nodes: readonly (readonly [number, bigint])[]) =>
  nodes.map(([nodeId, incarnation]) => ({ nodeId, incarnation }));

function sinceOf(tenures: Tenures, ...nodes: readonly number[]): readonly number[] {
  return nodes.map((node) => tenures.since(node));
}

describe("tenures", () => {
  it("begin with the view in which a member came in, and end when it leaves", () => {
    const tenures = new Tenures(1, undefined);
    assert.deepEqual(sinceOf(tenures, 1, 2), [0, 0]);
    tenures.become(lives([1, 1n], [2, 1n]), [], 5);
    tenures.become(lives([1, 1n], [2, 1n], [3, 1n]), [], 6);
    assert.deepEqual(sinceOf(tenures, 1, 2, 3), [5, 5, 6]);
    tenures.become(lives([1, 1n], [3, 1n]), [], 7);
    assert.deepEqual(sinceOf(tenures, 1, 2, 3), [5, 0, 6]);
    tenures.become(lives([1, 1n], [2, 1n], [3, 1n]), [], 8);
    assert.deepEqual(sinceOf(tenures, 1, 2, 3), [5, 8, 6]);
  });

  it("begin anew with another life of a node, though no view was without it", () => {
    const tenures = new Tenures(1, undefined);
    tenures.become(lives([1, 1n], [2, 1n]), [], 5);
    tenures.become(lives([1, 1n], [2, 2n]), [], 6);
    assert.deepEqual(sinceOf(tenures, 1, 2), [5, 6]);
  });

  it("all begin anew when this node was in no view", () => {
    const tenures = new Tenures(1, undefined);
    tenures.become(lives([1, 1n], [2, 1n]), [], 5);
    tenures.become([], [], 0);
    assert.deepEqual(sinceOf(tenures, 1, 2), [0, 0]);
    tenures.become(lives([1, 1n], [2, 1n]), [], 9);
    assert.deepEqual(sinceOf(tenures, 1, 2), [9, 9]);
  });

  it("go on while a node is absent by agreement, and in its next life", () => {
    const tenures = new Tenures(1, undefined);
    tenures.become(lives([1, 1n], [2, 1n]), [], 5);
    tenures.become(lives([1, 1n]), [2], 6);
    assert.deepEqual(sinceOf(tenures, 1, 2), [5, 5]);
    tenures.become(lives([1, 1n], [2, 2n]), [2], 7);
    tenures.become(lives([1, 1n], [2, 2n]), [], 8);
    assert.deepEqual(sinceOf(tenures, 1, 2), [5, 5]);
  });

  it("of this node go on behind its own absence, though it hears of that later than of its view", () => {
    const tenures = new Tenures(1, 3);
    tenures.become(lives([1, 2n], [2, 1n]), [], 7);
    assert.deepEqual(sinceOf(tenures, 1, 2), [7, 7]);
    tenures.become(lives([1, 2n], [2, 1n]), [1], 7);
    tenures.become(lives([1, 2n], [2, 1n]), [], 8);
    assert.deepEqual(sinceOf(tenures, 1, 2), [3, 7]);
  });

  it("of this node do not change while it asks to be absent, nor go on where the group knows of no absence", () => {
    const asks = new Tenures(1, undefined);
    asks.become(lives([1, 1n], [2, 1n]), [], 5);
    asks.become(lives([1, 1n], [2, 1n]), [1], 5);
    asks.become(lives([1, 1n], [2, 1n]), [], 6);
    assert.deepEqual(sinceOf(asks, 1, 2), [5, 5]);
    const crashed = new Tenures(1, 3);
    crashed.become(lives([1, 2n], [2, 1n]), [], 7);
    crashed.become([], [], 0);
    crashed.become(lives([1, 2n], [2, 1n]), [1], 9);
    assert.deepEqual(sinceOf(crashed, 1, 2), [9, 9]);
  });
});
