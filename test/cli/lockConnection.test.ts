// What a client of the daemon's socket gets that asks for a lock.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { callControl } from "../../lib/api/controlClient.js";
import { acquireLock } from "../../lib/api/lockClient.js";
import { withDaemon, withFolder } from "./daemon.js";
import { withLocks } from "./fakeLocks.js";

const never = new AbortController().signal;
const wish = { name: "backup", client: "test" };

// Each test has a daemon of its own, and waits for others most of the time.
const OPTIONS = { concurrency: 4 };

describe("a control connection", OPTIONS, () => {
  test("gets a lock, and gives it back before it is told so", async () => {
    await withLocks(async ({ socket }, locks) => {
      const held = await acquireLock(socket, { ...wish, wait_ms: 10, ttl_ms: 20 }, never);
      assert.equal(held.fence, "42");
      assert.deepEqual(locks.asked[0]?.params, { ...wish, wait_ms: 10, ttl_ms: 20 });
      assert.deepEqual(locks.released, []);
      await held.release();
      assert.deepEqual(locks.released, [1]);
    });
  });

  test("hears that its lock is lost, and why", async () => {
    await withLocks(async ({ socket }, locks) => {
      const held = await acquireLock(socket, wish, never);
      locks.asked[0]?.tell({ type: "lost", reason: "lease" });
      assert.equal(await held.lost, "lease");
      await held.release();
      assert.deepEqual(locks.released, [], "there is nothing to give back");
    });
  });

  test("counts a lock as lost when the daemon goes away", async () => {
    await withLocks(async ({ socket, server }) => {
      const held = await acquireLock(socket, wish, never);
      await server.close();
      assert.equal(await held.lost, "daemon");
    });
  });

  test("counts a lock as lost when the daemon falls silent", async () => {
    await withFolder(async (folder) => {
      const path = join(folder, "silent");
      const server = createServer((peer) => {
        peer.on("error", () => {}).write('{"id":1,"result":{"name":"backup","fence":"7"}}\n{"event":"held"}\n');
      }).listen(path);
      await once(server, "listening");
      const held = await acquireLock(path, wish, never);
      assert.equal(await held.lost, "daemon");
      server.close();
    });
  });

  test("gives the lock back by hanging up, also while it waits", async () => {
    await withLocks(async ({ socket }, locks) => {
      locks.grants = false;
      for (const id of [1, 2]) {
        const peer = connect(socket);
        peer.on("error", () => {}).write('{"id":1,"method":"lock","params":{"name":"a"}}\n');
        await locks.until(() => locks.asked.length === id);
        if (id === 2) {
          locks.grant(id);
          await once(peer, "data");
        }
        peer.destroy();
        await locks.until(() => locks.released.includes(id));
      }
    });
  });

  test("is refused with a code for every reason", async () => {
    await withLocks(async ({ socket }, locks) => {
      locks.grants = false;
      const codes = { timeout: "RF_LOCK_TIMEOUT", limit: "RF_LOCK_LIMIT", leaving: "RF_LOCK_UNAVAILABLE" } as const;
      for (const [reason, code] of Object.entries(codes)) {
        const asked = locks.asked.length;
        const answer = acquireLock(socket, wish, never);
        answer.catch(() => {});
        await locks.until(() => locks.asked.length > asked);
        locks.asked[asked]?.tell({ type: "refused", reason: reason as keyof typeof codes });
        await assert.rejects(answer, { code });
      }
    });
  });

  test("can have one lock, and none that it has not asked for", async () => {
    await withLocks(async ({ socket }, locks) => {
      const peer = connect(socket);
      const lines = linesOf(peer);
      const ask = async (line: string) => {
        peer.write(`${line}\n`);
        return JSON.parse((await lines.next()).value as string) as { id: number; error?: { code: string } };
      };
      assert.equal((await ask('{"id":1,"method":"unlock"}')).error?.code, "RF_CONTROL_REQUEST");
      assert.deepEqual(await ask('{"id":2,"method":"lock","params":{"name":"a"}}'), {
        id: 2,
        result: { name: "a", fence: "42" },
      });
      assert.equal((await ask('{"id":3,"method":"lock","params":{"name":"b"}}')).error?.code, "RF_CONTROL_REQUEST");
      assert.deepEqual(await ask('{"id":4,"method":"unlock"}'), { id: 4, result: {} });
      assert.deepEqual(await ask('{"id":5,"method":"lock","params":{"name":"b"}}'), {
        id: 5,
        result: { name: "b", fence: "43" },
      });
      assert.deepEqual(locks.released, [1]);
      peer.destroy();
      await locks.until(() => locks.released.includes(2));
    });
  });

  test("of a waiting client leaves room for other commands", async () => {
    await withLocks(async ({ socket }, locks) => {
      const stop = new AbortController();
      const waiting = Array.from({ length: 40 }, () => acquireLock(socket, wish, stop.signal));
      locks.grants = false;
      const results = Promise.allSettled(waiting);
      await locks.until(() => locks.asked.length === 40);
      assert.equal((await callControl(socket, "locks", {})).locks.length, 2);
      stop.abort(new Error("enough"));
      for (const result of await results) if (result.status === "fulfilled") await result.value.release();
      await locks.until(() => locks.released.length === 40);
    });
  });

  for (const name of ["", "two words", "ä", "x".repeat(65)]) {
    test(`cannot name a lock ${JSON.stringify(name.slice(0, 10))}`, async () => {
      await withLocks(async ({ socket }) => {
        await assert.rejects(acquireLock(socket, { ...wish, name }, never), { code: "RF_CONTROL_REQUEST" });
      });
    });
  }

  test("to a daemon without locks is told so", async () => {
    await withDaemon(async ({ socket }) => {
      await assert.rejects(acquireLock(socket, wish, never), { code: "RF_LOCK_UNAVAILABLE" });
      await assert.rejects(callControl(socket, "locks", {}), { code: "RF_LOCK_UNAVAILABLE" });
    });
  });
});

async function* linesOf(socket: Socket): AsyncGenerator<string> {
  let pending = "";
  for await (const chunk of socket) {
    pending += String(chunk);
    for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
      yield pending.slice(0, end);
      pending = pending.slice(end + 1);
    }
  }
}
