// The daemon's end of a lock whose client is stopped: it costs no memory, and the lock stays the client's.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { mock, test } from "node:test";
import {
  LOCK_HELD_INTERVAL_MS,
  type LockParams,
  type LockProvider,
  type LockProviderEvent,
} from "../../lib/api/lockProtocol.js";
import { LockSession } from "../../lib/api/lockSession.js";
import { RainfrontError } from "../../lib/errors.js";
import { RingLocks } from "../../lib/gateway/lockProvider.js";
import { HeldLock } from "../../lib/session/lock.js";
import type { Raincore } from "../../lib/session/raincore.js";
import { withDaemon } from "./daemon.js";

const PARAMS: LockParams = { name: "backup", client: "pid 7" };

class OneLock implements LockProvider {
  readonly stalls: boolean[] = [];
  readonly released: number[] = [];
  tell: (event: LockProviderEvent) => void = () => {};

  acquire(_params: LockParams, tell: (event: LockProviderEvent) => void): number {
    this.tell = tell;
    setImmediate(() => tell({ type: "granted", fence: 5n }));
    return 1;
  }

  async release(request: number): Promise<void> {
    this.released.push(request);
  }

  list(): [] {
    return [];
  }

  stalled(_params: LockParams, isStalled: boolean): void {
    this.stalls.push(isStalled);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a client that reads nothing is told once that it has the lock, and keeps it; the daemon tells its log", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const lock = new OneLock();
    const said: object[] = [];
    const peer = {
      waitingBytes: 0,
      answer: () => {},
      refuse: assert.fail,
      push: (event: object) => void said.push(event),
      hangUp: () => {},
    };
    new LockSession(lock, PARAMS, peer);
    await turn();
    mock.timers.tick(2 * LOCK_HELD_INTERVAL_MS);
    assert.deepEqual([said.length, lock.stalls], [2, []]);
    peer.waitingBytes = 17;
    mock.timers.tick(60_000);
    assert.deepEqual([said.length, lock.stalls, lock.released], [2, [true], []]);
    peer.waitingBytes = 0;
    mock.timers.tick(LOCK_HELD_INTERVAL_MS);
    assert.deepEqual([said.length, lock.stalls], [3, [true, false]]);
    peer.waitingBytes = 17;
    lock.tell({ type: "lost", reason: "lease" });
    assert.deepEqual(said.at(-1), { event: "lost", name: "backup", reason: "lease" });
  } finally {
    mock.timers.reset();
  }
});

test("what waits in the daemon for a client that reads nothing does not grow, and bad news is behind it", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  const lock = new OneLock();
  try {
    await withDaemon(
      async ({ socket }) => {
        const client = connect(socket);
        client.write(`${JSON.stringify({ id: 1, method: "lock", params: PARAMS })}\n`);
        await once(client, "readable");
        // Not read from here on, but for what is read ahead.
        for (let second = 0; second < 20_000; second++) {
          mock.timers.tick(LOCK_HELD_INTERVAL_MS);
          if (second % 50 === 0) await turn();
        }
        assert.deepEqual([lock.stalls.at(-1), lock.released], [true, []]);
        lock.tell({ type: "lost", reason: "view" });
        let text = "";
        for await (const chunk of client) text += String(chunk);
        const lines = text.trim().split("\n");
        assert.ok(lines.length < 10_000, `${lines.length} lines waited`);
        assert.equal(lines.at(-1), '{"event":"lost","name":"backup","reason":"view"}');
      },
      { locks: lock },
    );
  } finally {
    mock.timers.reset();
  }
});

test("the daemon's log names the lock and the client that reads nothing", () => {
  const logged: unknown[] = [];
  const log = { info: (...all: unknown[]) => logged.push(all), warn: (...all: unknown[]) => logged.push(all) };
  const locks = new RingLocks(assert.fail, [], log);
  locks.stalled(PARAMS, true);
  locks.stalled(PARAMS, false);
  assert.deepEqual(logged, [
    [{ lock: "backup", client: "pid 7" }, "the holder of a lock reads nothing: is it stopped?"],
    [{ lock: "backup", client: "pid 7" }, "the holder of a lock reads again"],
  ]);
});

/** A ring whose lock is granted as the test wants it. */
function ringWith(lock: () => Promise<HeldLock>): RingLocks {
  return new RingLocks(() => ({ lock }) as unknown as Raincore, [], { info: () => {}, warn: () => {} });
}

test("a lock that was lost before its grant was heard of is told as lost", async () => {
  const held = new HeldLock("backup", 5n, assert.fail);
  held.lose("lease");
  const locks = ringWith(async () => held);
  const told: LockProviderEvent[] = [];
  locks.acquire(PARAMS, (event) => told.push(event));
  await turn();
  assert.deepEqual(told, [
    { type: "granted", fence: 5n },
    { type: "lost", reason: "lease" },
  ]);
});

test("what is refused or lost is not kept, and not given back again", async () => {
  const held = [5n, 6n].map((fence) => {
    const lock: HeldLock = new HeldLock("backup", fence, () => lock.markReleased());
    return lock;
  });
  const [loses, keeps] = held;
  assert.ok(loses && keeps);
  const released = held.map((lock) => mock.method(lock, "release"));
  const grants = [...held];
  const locks = ringWith(async () => {
    const grant = grants.shift();
    if (grant === undefined) throw new RainfrontError("RF_LOCK_TIMEOUT", "not free");
    return grant;
  });
  const told: string[] = [];
  const ids = [0, 1, 2].map(() => locks.acquire(PARAMS, ({ type }) => told.push(type)));
  await turn();
  loses.lose("view");
  for (const id of ids) await locks.release(id);
  assert.deepEqual(told.sort(), ["granted", "granted", "lost", "refused"]);
  assert.deepEqual(
    released.map((calls) => calls.mock.callCount()),
    [0, 1],
  );
});

test("a lock that was asked for behind another request is not kept for a client that has hung up", async () => {
  const lock = new OneLock();
  const acquired = mock.method(lock, "acquire");
  let answer = (_keys: { readonly keys: number }): void => {};
  let isAsked = (): void => {};
  const asked = new Promise<void>((resolve) => {
    isAsked = resolve;
  });
  const reloadKeys = (): Promise<{ readonly keys: number }> => {
    isAsked();
    return new Promise((resolve) => {
      answer = resolve;
    });
  };
  await withDaemon(
    async ({ socket }) => {
      const hangsUp = connect(socket);
      hangsUp.write(`{"id":1,"method":"reloadKeys"}\n${JSON.stringify({ id: 2, method: "lock", params: PARAMS })}\n`);
      await asked;
      hangsUp.destroy();
      // By the time that others are answered, the daemon has seen that.
      const other = connect(socket);
      for (let round = 0; round < 5; round++) {
        other.write('{"id":3,"method":"status"}\n');
        await once(other, "data");
      }
      answer({ keys: 1 });
      other.write(`${JSON.stringify({ id: 4, method: "lock", params: PARAMS })}\n`);
      await once(other, "data");
      assert.equal(acquired.mock.callCount() - lock.released.length, 1);
      other.destroy();
    },
    { locks: lock, reloadKeys },
  );
});
