// Modules that travel on the token, also ones that fail, and their carriages.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TokenModule } from "../../../lib/raincore/engine.js";
import { encode } from "../../../lib/raincore/messages.js";
import { CARRIAGES_MAX, MEMBERS_MAX, TOKEN_BYTES_MAX, type Token } from "../../../lib/raincore/token.js";
import { NOTES_BYTES_MAX, NOTES_CARRIAGE, NOTES_FORMAT, TrainNotes } from "../../../lib/raincore/trainNotes.js";
import { newCore, newMember, passedOn, Recorder, runTo, START_MS, sentIn, timers, tokenFor } from "./oneCore.js";

function othersOn({ carriages }: Token) {
  return carriages.filter(({ name }) => name !== NOTES_CARRIAGE);
}

function notesOn({ carriages, epoch, origin, members }: Token): TrainNotes {
  const bytes = carriages.find(({ name }) => name === NOTES_CARRIAGE)?.bytes;
  const view = { epoch, origin, members, self: 1, quorate: true };
  const notes = TrainNotes.read(bytes, new Set(carriages.map(({ name }) => name)), view);
  assert.ok(notes);
  return notes;
}

const ON_M1 = { name: "m1", format: 1, version: 3, bytes: Uint8Array.of(7) };

test("a module that throws leaves its carriage as it was, and the ring goes on", () => {
  const good = new Recorder("m2", () => Uint8Array.of(1));
  const bad = new Recorder("m1", () => {
    throw new Error("broken");
  });
  const core = newMember([bad, good]);
  assert.ok((core.status().counters.module_failed ?? 0) > 0);
  assert.ok(good.contexts.length > 1);
  assert.deepEqual(othersOn(passedOn(newCore([bad]), START_MS + 10, { carriages: [ON_M1] })), [ON_M1]);
});

test("a carriage that is too large is refused, and the one before is kept", () => {
  const module: Recorder = new Recorder("m1", () => new Uint8Array(module.bytesMax + 1));
  const core = newCore([module]);
  assert.deepEqual(othersOn(passedOn(core, START_MS + 10, { carriages: [ON_M1] })), [ON_M1]);
  assert.equal(core.status().counters.carriage_too_large, 1);
});

test("carriages of modules that this node does not have are carried on", () => {
  const core = newCore();
  const carriages = [{ name: "x-later", format: 9, version: 3, bytes: Uint8Array.of(9) }];
  const passed = passedOn(core, START_MS + 10, { carriages });
  assert.deepEqual(othersOn(passed), carriages);
  assert.deepEqual([...notesOn(passed).lacking("x-later")], [1]);
});

test("a carriage of a newer layout is carried on, and its module does not see it", () => {
  const module = new Recorder("m1", () => Uint8Array.of(1));
  const core = newCore([module]);
  const carriages = [{ name: "m1", format: module.format + 1, version: 3, bytes: Uint8Array.of(9) }];
  const passed = passedOn(core, START_MS + 10, { carriages });
  assert.deepEqual(othersOn(passed), carriages);
  assert.deepEqual([...notesOn(passed).lacking("m1")], [1]);
  assert.equal(module.contexts.length, 0);
  assert.equal(module.lost, 1);
  assert.equal(core.status().counters.carriage_newer, 1);
});

test("a module whose largest carriage has no room is not called, and hears that the token has passed", () => {
  const module = new Recorder("m1", () => new Uint8Array(module.bytesMax));
  const passedBy: (Uint8Array | undefined)[] = [];
  const watched = Object.assign(module, { onPassedBy: (_: unknown, bytes?: Uint8Array) => passedBy.push(bytes) });
  const core = newCore([watched], [2, 3], { packetBytes_max: 2 * TOKEN_BYTES_MAX });
  const unknown = { name: "x", format: 1, version: 1, bytes: new Uint8Array(TOKEN_BYTES_MAX - 60_000) };
  const own = { name: "m1", format: 1, version: 1, bytes: Uint8Array.of(7) };
  const passed = passedOn(core, START_MS + 10, { carriages: [own, unknown] });
  assert.deepEqual(othersOn(passed), [own, unknown]);
  assert.equal(module.contexts.length, 0);
  assert.deepEqual(passedBy, [Uint8Array.of(7)]);
  assert.equal(core.status().counters.carriage_no_room, 1);
});

test("room goes to modules in their order, and what is not called counts as it is", () => {
  const first = new Recorder("m1", () => new Uint8Array(50_000));
  const second = new Recorder("m2", () => new Uint8Array(50_000));
  const core = newCore([first, second], [2, 3], { packetBytes_max: 2 * TOKEN_BYTES_MAX });
  const unknown = { name: "x", format: 1, version: 1, bytes: new Uint8Array(TOKEN_BYTES_MAX - 100_000) };
  const passed = passedOn(core, START_MS + 10, { carriages: [unknown] });
  assert.deepEqual(
    othersOn(passed).map(({ name }) => name),
    ["m1", "x"],
  );
  assert.equal(second.contexts.length, 0);
});

test("a seventeenth carriage is put on by nobody", () => {
  const module = new Recorder("m1", () => Uint8Array.of(1));
  const core = newCore([module]);
  const carriages = Array.from({ length: CARRIAGES_MAX - 1 }, (_, i) => {
    return { name: `x-${String(i).padStart(2, "0")}`, format: 1, version: 1, bytes: Uint8Array.of(i) };
  });
  assert.deepEqual(othersOn(passedOn(core, START_MS + 10, { carriages })), carriages);
  assert.equal(module.contexts.length, 0);
});

test("a module that was not called is told later of members that went, and of a view that was not quorate", () => {
  const module = new Recorder("m1", (bytes) => bytes);
  const core = newCore([module]);
  const notes = new TrainNotes();
  notes.keep("m1", [{ nodeId: 3 }], false);
  notes.keep("x", [{ nodeId: 3 }], true);
  const carriages = [
    { name: "m1", format: 1, version: 1, bytes: Uint8Array.of(7) },
    { name: "train", format: NOTES_FORMAT, version: 1, bytes: notes.encode() },
    { name: "x", format: 1, version: 1, bytes: Uint8Array.of(9) },
  ];
  const passed = passedOn(core, START_MS + 10, { carriages });
  const [ctx] = module.contexts;
  assert.deepEqual(ctx?.removed, [{ nodeId: 3, leaseEnd_ms: START_MS + 10 + timers.lease_ms }]);
  assert.equal(ctx?.missedQuorum, true);
  assert.deepEqual([notesOn(passed).untold("m1"), notesOn(passed).untold("x")], [[], [3]]);
  assert.equal(notesOn(passed).missedQuorum("m1"), false);
});

test("a failed module's carriage is told of a member that went at its next visit", () => {
  let fails = true;
  const module = new Recorder("m1", (bytes) => {
    if (fails) throw new Error("broken");
    return bytes;
  });
  const core = newCore([module]);
  passedOn(core, START_MS + 10, { carriages: [{ name: "m1", format: 1, version: 1, bytes: Uint8Array.of(7) }] });
  runTo(core, START_MS + 10 + timers.handOverFail_ms);
  fails = false;
  runTo(core, core.deadline_ms);
  assert.deepEqual(
    module.contexts.at(-1)?.removed.map(({ nodeId }) => nodeId),
    [2],
  );
});

test("what is said of a node without a module holds for that process only, and only while the carriage is there", () => {
  const view = { epoch: 1, origin: 1, self: 1, quorate: true, members: [{ nodeId: 2, incarnation: 5n, ready: true }] };
  const notes = new TrainNotes();
  notes.setLacking(2, 5n, new Set(["a", "b"]));
  const read = (names: string[], incarnation: bigint) => {
    const members = [{ nodeId: 2, incarnation, ready: true }];
    const found = TrainNotes.read(notes.encode(), new Set(names), { ...view, members });
    return ["a", "b"].filter((name) => found?.lacking(name).has(2));
  };
  assert.deepEqual(read(["a", "b"], 5n), ["a", "b"]);
  assert.deepEqual(read(["b"], 5n), ["b"]);
  assert.deepEqual(read(["a", "b"], 6n), []);
});

test("notes are never longer than the room that is kept for them, and other bytes are no notes", () => {
  const names = Array.from({ length: CARRIAGES_MAX }, (_, i) => `${String(i).padStart(2, "0")}${"n".repeat(30)}`);
  const notes = new TrainNotes();
  for (let nodeId = 1; nodeId <= MEMBERS_MAX + 10; nodeId++) {
    if (nodeId <= MEMBERS_MAX) notes.setLacking(nodeId, 1n, new Set(names));
    for (const name of names) notes.keep(name, [{ nodeId }], false);
  }
  const bytes = notes.encode();
  assert.equal(bytes.length, NOTES_BYTES_MAX);
  const view = { epoch: 1, origin: 1, self: 1, quorate: true, members: [] };
  assert.deepEqual(TrainNotes.read(bytes, new Set(names), view)?.untold(names[0] ?? "").length, MEMBERS_MAX);
  for (const other of [bytes.subarray(1), bytes.subarray(0, -1), Uint8Array.of(0xff, 0xff)]) {
    assert.equal(TrainNotes.read(other, new Set(names), view), undefined);
  }
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
  assert.throws(() => newCore([module("train", 10)]), /the carriages train/);
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
