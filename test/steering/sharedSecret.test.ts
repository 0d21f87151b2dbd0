// The flow hash's key on the token.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TokenContext } from "../../lib/raincore/types.js";
import { FLOW_HASH_KEY_BYTES, SharedSecret } from "../../lib/steering/sharedSecret.js";

const CTX = {} as TokenContext;

function member(fill: number): { readonly secret: SharedSecret; readonly told: (number | undefined)[] } {
  const told: (number | undefined)[] = [];
  const secret = new SharedSecret({
    random: (bytes) => new Uint8Array(bytes).fill(fill),
    onChange: (key) => told.push(key?.[0]),
  });
  return { secret, told };
}

describe("the key of the flow hash", () => {
  it("is made by whoever meets a token without one, and taken by everybody else", () => {
    const [first, second] = [member(1), member(2)];
    const carried = first.secret.onToken(CTX, undefined);
    assert.equal(carried.length, FLOW_HASH_KEY_BYTES);
    assert.equal(second.secret.onToken(CTX, carried), carried);
    assert.deepEqual([first.told, second.told], [[1], [1]]);
  });

  it("is told of once, not at every visit", () => {
    const { secret, told } = member(1);
    const carried = secret.onToken(CTX, undefined);
    for (let visit = 0; visit < 3; visit++) secret.onToken(CTX, Uint8Array.from(carried));
    assert.deepEqual(told, [1]);
  });

  it("is forgotten with the membership, and is the other group's after a merge", () => {
    const [ours, theirs] = [member(1), member(2)];
    ours.secret.onToken(CTX, undefined);
    const carried = theirs.secret.onToken(CTX, undefined);
    ours.secret.onLost();
    ours.secret.onToken(CTX, carried);
    assert.deepEqual(ours.told, [1, undefined, 2]);
  });

  it("is made anew in place of a carriage that is none", () => {
    const { secret, told } = member(7);
    for (const length of [0, 1, FLOW_HASH_KEY_BYTES - 1, FLOW_HASH_KEY_BYTES + 1]) {
      assert.equal(secret.onToken(CTX, new Uint8Array(length)).length, FLOW_HASH_KEY_BYTES);
    }
    assert.deepEqual(told, [7]);
  });

  it("is known when this node is the first to visit twice: its own copy stays in force if the carriage is lost", () => {
    let made = 0;
    const told: (number | undefined)[] = [];
    const secret = new SharedSecret({
      random: (bytes) => new Uint8Array(bytes).fill(++made),
      onChange: (key) => told.push(key?.[0]),
    });
    secret.onToken(CTX, undefined);
    secret.onToken(CTX, undefined);
    assert.deepEqual(told, [1]);
  });
});
