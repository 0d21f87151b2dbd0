// A hand-over that is acknowledged just as it is given up: the slow member has handed the token on, and who gave it up goes on without it. Two lines of one
// group meet at the next member, and where that one's successor is who gave up, their tokens cross. One of the two has to give way, and never both.
import assert from "node:assert/strict";
import { test } from "node:test";
import { stage } from "./staged.js";

const SEEDS = 80;
/** Of a datagram's way: several hops fit into what is left of the hand-over when the slow one wakes. */
const DELAY_MS = [0.1, 0.6] as const;
/** The hand-over to the slow one begins shortly before 4, and is given up 9 later. */
const MOMENTS_U = [12.9, 12.91, 12.92, 12.93, 12.94, 12.95, 12.96, 12.97];
const [FIRST, SLOW, NEXT] = [1, 2, 3];
const NODE_IDS = [FIRST, SLOW, NEXT];

test("of two lines whose tokens cross one goes on", (t) => {
  let crossed = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    for (const moment_u of MOMENTS_U) {
      // Joiners come in behind the first.
      const started = [FIRST, NEXT, SLOW];
      const { world, stall, now_u } = stage({ seed, nodeIds: NODE_IDS, started, holder: FIRST, previous: NEXT });
      world.network.weather = { ...world.network.weather, delay_ms: DELAY_MS };
      stall(SLOW, 3, moment_u);
      while (now_u() < 60) {
        world.run(0.1);
        const isGroup = NODE_IDS.some((nodeId) => world.node(nodeId).status.state === "member");
        assert.ok(isGroup, `seed ${seed}, woken at ${moment_u}: nobody is in a group at ${now_u().toFixed(2)}`);
      }
      assert.deepEqual(world.checker.violations, [], `seed ${seed}, woken at ${moment_u}`);
      crossed += world.node(NEXT).status.counters.hand_over_crossed ?? 0;
    }
  }
  t.diagnostic(`${crossed} hand-overs crossed`);
  assert.ok(crossed > 0, "no tokens crossed");
});
