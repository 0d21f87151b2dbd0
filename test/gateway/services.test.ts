// What a group of two daemons does for operators and for other programs, over their control sockets.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { callControl } from "../../lib/api/controlClient.js";
import { acquireLock } from "../../lib/api/lockClient.js";
import { type DaemonProcess, Machine, obstacle } from "./machine.js";

const BOTH = /"ready":\[1,2\]|"ready":\[2,1\]/;
const skip = obstacle() ?? false;

describe("a group of two", { skip }, () => {
  let machines: readonly [Machine, Machine];
  let daemons: readonly [DaemonProcess, DaemonProcess];
  before(async () => {
    machines = await Machine.pair();
    daemons = [machines[0].up(), machines[1].up()];
    await Promise.all(daemons.map((daemon) => daemon.says(BOTH)));
  });
  after(async () => {
    for (const machine of [...machines].reverse()) await machine.remove();
  });

  it("tells its policy, its bound and the state of its paths", async () => {
    const status = await callControl(machines[0].socket(), "status", {});
    assert.deepEqual(status.quorum, { policy: "available", quorate: true });
    assert.equal(status.bound_ms, 1000);
    assert.deepEqual(
      status.paths.map(({ nodeId, segment, isUp }) => [nodeId, segment, isUp]),
      [
        [2, "internal", true],
        [2, "external", true],
      ],
    );
  });

  it("changes its key in three steps, and no view changes", async () => {
    const epoch = (await callControl(machines[0].socket(), "status", {})).epoch;
    for (const keys of [["ab", "cd"], ["cd", "ab"], ["cd"]]) {
      for (const machine of machines) {
        machine.writeKeys(keys);
        assert.deepEqual(await callControl(machine.socket(), "reloadKeys", {}), { keys: keys.length });
      }
    }
    const seq = (await callControl(machines[1].socket(), "status", {})).seq;
    let now = await callControl(machines[1].socket(), "status", {});
    while (now.seq === seq) now = await callControl(machines[1].socket(), "status", {});
    assert.equal(now.epoch, epoch, "the token goes round under the new key, in the same view");
  });

  it("keeps its keys when the file is bad, and says why", async () => {
    machines[0].writeKeys(["cd", "cd"]);
    await assert.rejects(callControl(machines[0].socket(), "reloadKeys", {}), { code: "RF_CONFIG_KEY_FILE" });
    machines[0].writeKeys(["cd"]);
  });

  it("gives a lock to one program at a time, and to the other one when its node dies", async () => {
    const params = { name: "job", client: "test" };
    const { signal } = new AbortController();
    const first = await acquireLock(machines[0].socket(), params, signal);
    const waiting = acquireLock(machines[1].socket(), params, signal);
    // The other node shows what the token has shown it.
    let { locks } = await callControl(machines[1].socket(), "locks", {});
    while (locks.length === 0) ({ locks } = await callControl(machines[1].socket(), "locks", {}));
    assert.deepEqual(
      locks.map(({ name, holder }) => [name, holder?.name]),
      [["job", "gw1"]],
    );
    await daemons[0].kill();
    const second = await waiting;
    assert.ok(BigInt(second.fence) > BigInt(first.fence));
    await second.release();
  });

  it("goes on with one", async () => {
    const { members } = await callControl(machines[1].socket(), "status", {});
    assert.deepEqual(
      members.map(({ id }) => id),
      [2],
    );
  });
});
