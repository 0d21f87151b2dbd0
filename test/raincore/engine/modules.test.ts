// Modules that travel on the token, also ones that fail, and their carriages.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TokenModule } from "../../../lib/raincore/engine.js";
import { encode } from "../../../lib/raincore/messages.js";
import { newCore, newMember, passedOn, Recorder, runTo, START_MS, sentIn, timers, tokenFor } from "./oneCore.js";

test("a module that throws leaves its carriage as it was, and the ring goes on", () => {
  const good = new Recorder("m2", () => Uint8Array.of(1));
  const bad = new Recorder("m1", () => {
    throw new Error("broken");
  });
  const core = newMember([bad, good]);
  assert.ok((core.status().counters.module_failed ?? 0) > 0);
  assert.ok(good.contexts.length > 1);
});

test("a carriage that is too large is refused, and the one before is kept", () => {
  let length = 10;
  const module = new Recorder("m1", () => new Uint8Array(length));
  const core = newMember([module]);
  length = module.bytesMax + 1;
  runTo(core, core.deadline_ms);
  assert.ok((core.status().counters.carriage_too_large ?? 0) > 0);
});

test("carriages of modules that this node does not have are carried on", () => {
  const core = newCore();
  const carriages = [{ name: "x-later", format: 9, version: 3, bytes: Uint8Array.of(9) }];
  assert.deepEqual(passedOn(core, START_MS + 10, { carriages }).carriages, carriages);
});

test("a carriage of a newer layout is carried on, and its module does not see it", () => {
  const module = new Recorder("m1", () => Uint8Array.of(1));
  const core = newCore([module]);
  const carriages = [{ name: "m1", format: module.format + 1, version: 3, bytes: Uint8Array.of(9) }];
  assert.deepEqual(passedOn(core, START_MS + 10, { carriages }).carriages, carriages);
  assert.equal(module.contexts.length, 0);
  assert.equal(core.status().counters.carriage_newer, 1);
});

test("a module that has nothing to say any more takes its carriage off the token", () => {
  let answer: Uint8Array | undefined = Uint8Array.of(1);
  const module = new Recorder("m1", () => answer);
  const core = newCore([module]);
  core.start(START_MS);
  const receive = (seq: number) =>
    sentIn(
      core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2, epoch: 9, seq }) })),
    );
  const carriagesIn = (sent: ReturnType<typeof receive>) =>
    sent.flatMap(({ message }) => (message.type === "token" ? message.token.carriages : []));
  assert.equal(carriagesIn(receive(1)).length, 1);
  core.receive(START_MS + 10, 2, 0, encode({ type: "ack", id: { epoch: 9, origin: 2, seq: 3 } }));
  answer = undefined;
  assert.equal(carriagesIn(receive(4)).length, 0);
});

test("modules that could outgrow the token together, or share a name, are refused", () => {
  const module = (carriage: string, bytesMax: number): TokenModule => ({
    carriage,
    format: 1,
    bytesMax,
    onToken: () => undefined,
    onLost: () => {},
  });
  assert.throws(() => newCore([module("a", 100_000), module("b", 100_000)]), /bytes together/);
  assert.throws(() => newCore([module("a", 10), module("a", 10)]), /different ones/);
  assert.throws(() => newCore([module("No", 10)]), /the carriages No/);
});

test("modules hear of a member that went at their first visit without it, and once, also when somebody asks to come in", () => {
  for (const asks of [false, true]) {
    const module = new Recorder("a", (bytes) => bytes);
    const core = newCore([module]);
    passedOn(core, START_MS + 10);
    const failed_ms = START_MS + 10 + timers.handOverFail_ms;
    runTo(core, failed_ms - 1);
    if (asks)
      core.receive(failed_ms - 1, 3, 0, encode({ type: "join", incarnation: 5n, session: 1, epoch: 0, heard: [] }));
    runTo(core, failed_ms);
    const without = module.contexts.filter(({ view }) => view.members.every(({ nodeId }) => nodeId !== 2));
    const visits = without.map(({ view, removed }) => [view.members.length, removed] as const);
    const told = [1, [{ nodeId: 2, leaseEnd_ms: START_MS + 10 + timers.lease_ms }]];
    assert.deepEqual(visits.slice(0, 2), asks ? [told, [2, []]] : [told]);
  }
});
