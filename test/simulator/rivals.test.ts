// Two groups out of one without any cut, because nodes are stopped for a while, each time too shortly to doubt themselves: one makes the token again
// that the other still has. The VIPs of one must not be answered by both.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FAIR_WEATHER } from "./network.js";
import { type Stage, stage } from "./staged.js";

const SEEDS = 40;

function assertSingleOwners({ world }: Stage, seed: number): void {
  assert.deepEqual(world.checker.violations, [], `seed ${seed}`);
}

const [slow, rival, joiner, dead] = [9, 1, 2, 3];

/** The token goes to a joiner that is slow, and puts in another one that is dead: the rival misses it, asks the slow one alone, and goes on. */
function rivalGoesOn(seed: number): Stage {
  const scene = stage({ seed, nodeIds: [slow, rival, joiner, dead], started: [slow, rival], holder: slow });
  const { world, at, stall } = scene;
  at(4.3, () => world.node(joiner).start());
  at(4.305, () => world.node(dead).start());
  stall(joiner, 4.3051, 7.2);
  at(4.306, () => world.node(dead).crash());
  stall(slow, 7.35, 12.85);
  at(20, () => {
    world.network.weather = FAIR_WEATHER;
  });
  return scene;
}

for (const isRivalStopped of [true, false]) {
  const whose = isRivalStopped ? "that is stopped then" : "that the next member meets";
  test(`a lease that ran out while joiners came in is not had again beside a rival ${whose}`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const scene = rivalGoesOn(seed);
      const { world, stall } = scene;
      // That line comes back to the slow one when the rival answers for all VIPs.
      stall(joiner, 16.1, isRivalStopped ? 19.4 : 26);
      if (isRivalStopped) stall(rival, 18.2, 30.2);
      else stall(slow, 16.5, 22.6);
      world.run(60 * world.unit_ms);
      assertSingleOwners(scene, seed);
    }
  });
}

test("a member that has made an older view without this one hears that the newer one goes on", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const scene = rivalGoesOn(seed);
    const { world, stall } = scene;
    // Both make a view of the same epoch, and the rival's is the older one by its origin. The joiner is missed: the slow one makes its token again,
    // with a lease that has never ended, while the rival is stopped, and would wake with a right that begins when that lease would have ended.
    stall(joiner, 12.882, 19.4);
    stall(rival, 18.2, 30.2);
    world.run(60 * world.unit_ms);
    assertSingleOwners(scene, seed);
  }
});

const [FIRST, GRANTER, CALLER] = [1, 2, 3];
const VIPS = [FIRST, GRANTER].map((preferredHost) => {
  return { address: `192.0.2.${100 + preferredHost}`, segment: "external", preferredHost, persistence: 3 } as const;
});
const THREE = {
  nodeIds: [FIRST, GRANTER, CALLER],
  started: [FIRST, CALLER, GRANTER],
  holder: FIRST,
  previous: CALLER,
  vips: VIPS,
};

test("who was stopped while it asked does not take answers in its socket for silence", () => {
  for (let seed = 1; seed <= 4 * SEEDS; seed++) {
    const scene = stage({ seed, ...THREE });
    const { world, at, now_u, stall } = scene;
    const callsBefore = callsOf(scene);
    // The granter takes the token that is late after it has granted, and the denial lies in the caller's socket.
    stall(FIRST, 5.8, 8.7);
    const whenItCalls = () => {
      if (callsOf(scene) === callsBefore) {
        world.after(0.002 * world.unit_ms, whenItCalls);
        return;
      }
      const call_u = now_u();
      stall(CALLER, call_u + 0.025, 17.75);
      stall(CALLER, 17.758, 27.4);
      stall(CALLER, 27.405, call_u + 24.2);
      stall(CALLER, call_u + 24.205, call_u + 34);
    };
    at(7.9, whenItCalls);
    stall(FIRST, 17.65, 24.9);
    for (const nodeId of [FIRST, GRANTER]) stall(nodeId, 27.39, 32.9);
    world.run(50 * world.unit_ms);
    assertSingleOwners(scene, seed);
  }
});

for (const isDenialLost of [false, true]) {
  for (const doesLapse of [true, false]) {
    const how = `${isDenialLost ? "unheard" : "late"}, and its lease ${doesLapse ? "runs out" : "goes on"}`;
    test(`a member that went on with one that was given up is waited for with that one: the denial is ${how}`, () => {
      for (let seed = 1; seed <= 2 * SEEDS; seed++) {
        const scene = stage({ seed, ...THREE });
        const { world, stall, deafen } = scene;
        stall(FIRST, 5.8, 9.35);
        stall(GRANTER, 8.75, 13.9);
        if (isDenialLost) {
          deafen(CALLER, 9.352, 9.38);
          deafen(FIRST, 9.36, 12.555);
          deafen(FIRST, 12.56, 12.76);
          stall(CALLER, 12.7, 23);
        } else {
          stall(CALLER, 9.3, 12.65);
          deafen(FIRST, 12.6, 12.8);
          stall(CALLER, 12.68, 23);
        }
        if (doesLapse) stall(FIRST, 14.2, 25);
        stall(CALLER, 23.015, 32.5);
        world.run(45 * world.unit_ms);
        assertSingleOwners(scene, seed);
      }
    });
  }
}

test("a member that gave way to a caller may have been given up before its own call was due", () => {
  for (let seed = 1; seed <= 4 * SEEDS; seed++) {
    const scene = stage({ seed, ...THREE, started: [FIRST, GRANTER, CALLER] });
    const { world, stall, deafen } = scene;
    // The hand-over to it begins at 5.74: it misses the first of that, has a say in a call, and misses the rest. At 14.74 it is out, and not late.
    deafen(GRANTER, 5.6, 7.4);
    deafen(GRANTER, 9.1, 15.1);
    // What the others have decided comes into force while they are stopped.
    for (const nodeId of [FIRST, CALLER]) stall(nodeId, 14.95, 27);
    world.run(50 * world.unit_ms);
    assertSingleOwners(scene, seed);
  }
});

function callsOf({ world }: Stage): number {
  return world.node(CALLER).status.counters.call_started ?? 0;
}

const [E1, OLDER, NEWER, E2, E3] = [1, 2, 3, 4, 5];

/** A calm ring of five in this order, each the preferred host of a VIP; only a majority serves. Joiners come in behind the first. */
function calmFive(
  seed: number,
  ids: readonly [number, number, number, number, number],
  started: readonly number[],
): Stage {
  const vips = ids.map((preferredHost) => {
    return { address: `192.0.2.${100 + preferredHost}`, segment: "external", preferredHost, persistence: 3 } as const;
  });
  const quorum = { policy: "majority", tieBreaker: ids[0] } as const;
  const scene = stage({ seed, nodeIds: ids, started, holder: ids[0], previous: ids[4], vips, quorum, ring: "calm" });
  assert.deepEqual(
    scene.world.holder?.status.members.map(({ nodeId }) => nodeId),
    ids,
  );
  return scene;
}

/** Who began to ask while the newest copy was its own, and nobody had acknowledged that, is taken out by one with an older copy: its own call gives it no lease. */
test("of two that miss a quiet token, who is cut off has no other lease than the one that the other waits for", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const scene = calmFive(seed, [E1, OLDER, NEWER, E2, E3], [E1, E2, E3, NEWER, OLDER]);
    const { world, now_u } = scene;
    const hasBoth = (nodeIds: readonly number[]) => nodeIds.includes(OLDER) && nodeIds.includes(NEWER);
    world.network.drop = (from, to) => {
      if (from !== NEWER && to !== NEWER) return false;
      // It gets the token, and what it sends is lost; both calls are heard by the others, and their answers.
      if (to === NEWER && now_u() < 4.05) return false;
      return hasBoth([from, to]) || now_u() < 9 || now_u() > 13;
    };
    world.run(60 * world.unit_ms);
    assertSingleOwners(scene, seed);
    assert.equal(world.node(E1).status.members.length, 4);
  }
});

test("who was denied its call for a quiet token, and takes it up later, has no other lease than the one that the other waits for", () => {
  const [first, second, asker, newest, last] = [1, 2, 3, 4, 5];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const scene = calmFive(seed, [first, second, asker, newest, last], [first, newest, last, asker, second]);
    const { world, now_u, stall } = scene;
    // So that the newest copy is asked for first.
    stall(asker, 9.4, 9.85);
    const isBetween = (from_u: number, to_u: number) => now_u() >= from_u && now_u() < to_u;
    world.network.drop = (from, to) => {
      const ends = [from, to];
      if (ends.includes(asker) && ends.includes(newest)) return now_u() > 3.975;
      if (from === newest && to === last) return isBetween(3.9, 9.3) || isBetween(13, 14.7);
      return ends.includes(asker) && now_u() > 14.6;
    };
    world.run(70 * world.unit_ms);
    assertSingleOwners(scene, seed);
    assert.equal(world.node(first).status.members.length, 4);
  }
});
