// The public class, several nodes over real sockets on loopback.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { Raincore } from "../../lib/session/raincore.js";
import { Cluster, hasView, reservePort } from "./cluster.js";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytes = (from: string): Uint8Array => Buffer.from(from);
/** It comes within a second, or never. */
const REFUSAL_MS_MAX = 20_000;
const hasCode = (code: string) => (error: unknown) => error instanceof RainfrontError && error.code === code;

describe("three nodes in one group", { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let nodes: Raincore[];
  before(async () => {
    // Nobody dies here, and who is taken for dead on a busy machine hears nothing of what was sent meanwhile.
    cluster = await Cluster.of(3, { failoverTarget_ms: 10_000 });
    nodes = await cluster.startAll();
  });
  after(() => cluster.close());

  const node = (index: number): Raincore => {
    const found = nodes[index];
    assert.ok(found);
    return found;
  };

  test("deliver the messages of all in one order, each with its sender", async () => {
    const seen = nodes.map(() => [] as string[]);
    const listeners = nodes.map((one, index) => {
      const listener = ({ from, bytes: received }: { from: number; bytes: Uint8Array }): void => {
        seen[index]?.push(`${from}:${text(received)}`);
      };
      one.on("message", listener);
      return listener;
    });
    const sent = nodes.flatMap((one) => Array.from({ length: 50 }, (_, k) => one.multicast(bytes(`m${k}`))));
    await Promise.all(sent);
    await Promise.all(nodes.map((one) => one.multicast(bytes("end"), { guarantee: "safe" })));
    for (const [index, one] of nodes.entries()) one.off("message", listeners[index] ?? (() => {}));
    const everyOther = seen.map((list) => list.filter((line) => !line.endsWith(":end")));
    assert.equal(everyOther[0]?.length, 150);
    assert.deepEqual(everyOther[1], everyOther[0]);
    assert.deepEqual(everyOther[2], everyOther[0]);
    for (const from of [1, 2, 3]) {
      const own: readonly string[] | undefined = everyOther[0]?.filter((line) => line.startsWith(`${from}:`));
      assert.deepEqual(
        own,
        Array.from({ length: 50 }, (_, k) => `${from}:m${k}`),
      );
    }
  });

  test("deliver a message of a megabyte whole", async () => {
    const big = Buffer.alloc(1 << 20, "rain");
    const received = new Promise<Uint8Array>((resolve) => {
      node(2).on("message", function listener({ from, bytes: some }): void {
        if (from !== 1 || some.length !== big.length) return;
        node(2).off("message", listener);
        resolve(some);
      });
    });
    await node(0).multicast(big);
    assert.ok(big.equals(await received));
  });

  test("send to one node alone", async () => {
    const received: string[] = [];
    const listeners = nodes.map((one, index) => {
      const listener = ({ from, bytes: some }: { from: number; bytes: Uint8Array }): void => {
        received.push(`${some.length} bytes from ${from} to ${index + 1}`);
      };
      one.on("direct", listener);
      return listener;
    });
    await node(0).send(2, Buffer.alloc(300_000, "x"));
    // What the first one brought to anybody else would be there before this.
    await node(0).send(3, Buffer.alloc(300_001, "x"));
    while (received.length < 2) await Promise.race(nodes.map((one) => once(one, "direct")));
    assert.deepEqual(received.sort(), ["300000 bytes from 1 to 2", "300001 bytes from 1 to 3"]);
    for (const [index, one] of nodes.entries()) one.off("direct", listeners[index] ?? (() => {}));
    await assert.rejects(node(0).send(9, bytes("nobody")), hasCode("RF_NODE_UNKNOWN"));
  });

  test("have one holder of a lock at a time, first come first served, with growing fences", async () => {
    const first = await node(0).lock("job", { client: "a" });
    const second = node(1).lock("job");
    await assert.rejects(node(2).lock("job", { wait_ms: 0 }), hasCode("RF_LOCK_TIMEOUT"));
    const listed = (await node(0).locks()).find(({ name }) => name === "job");
    assert.equal(listed?.holder, 1);
    await first.release();
    const held = await second;
    assert.ok(held.fence > first.fence);
    await held.release();
  });

  test("stop waiting for a lock when the signal says so", async () => {
    const held = await node(0).lock("other");
    const stop = new AbortController();
    const waiting = node(1).lock("other", { signal: stop.signal });
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    await held.release();
    const next = await node(2).lock("other");
    await next.release();
  });

  test("lose a lock that is held too long", async () => {
    const held = await node(0).lock("short", { ttl_ms: 50 });
    if (!held.lost.aborted) await once(held.lost, "abort");
    assert.equal(held.lost.reason, "expired");
  });

  test("count together in a shared carriage, nobody's step lost", async () => {
    const step = (before: Uint8Array | undefined): Uint8Array => bytes(String(Number(text(before ?? bytes("0"))) + 1));
    await Promise.all(nodes.flatMap((one) => [1, 2, 3, 4].map(() => one.carriage("count").update(step))));
    const count = node(0).carriage("count");
    const read = async (): Promise<string> => text((await count.update((now) => now)).bytes ?? bytes(""));
    // Another node's last step is settled there before it has come here.
    while (Number(await read()) < 12) await new Promise((resolve) => count.once("change", resolve));
    assert.equal(await read(), "12");
  });

  test("answer for their ring", async () => {
    const stats = await node(0).stats();
    assert.equal(stats.state, "member");
    assert.equal(stats.members.length, 3);
    assert.ok((stats.network.datagrams_in ?? 0) > 0);
  });
});

describe("a group that changes", { timeout: 120_000, concurrency: true }, () => {
  test("goes on without a node that leaves or dies, and gives its lock to the next", async () => {
    const cluster = await Cluster.of(3);
    try {
      const [first, second, third] = await cluster.startAll();
      assert.ok(first && second && third);
      const held = await first.lock("job");
      const next = second.lock("job");
      await first.close();
      assert.equal(held.lost.aborted, true);
      const taken = await next;
      assert.ok(taken.fence > held.fence);
      await hasView(second, [2, 3]);
      await third.leave();
      assert.equal(third.state, "closed");
      await hasView(second, [2]);
      third.join();
      await hasView(second, [2, 3]);
      await taken.release();
    } finally {
      await cluster.close();
    }
  });

  test("refuses multicast of a node that has closed", async () => {
    const cluster = await Cluster.of(1);
    const node = await cluster.start(1);
    await node.joined();
    await node.close();
    await assert.rejects(node.multicast(bytes("late")), hasCode("RF_CLOSED"));
  });

  test("changes its key while it runs", async () => {
    const [old, fresh] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const cluster = await Cluster.of(2, { clusterKey: old });
    try {
      const nodes = await cluster.startAll();
      const views: unknown[] = [];
      for (const node of nodes) node.on("view", (view) => views.push(view));
      for (const keys of [[old, fresh], [fresh, old], [fresh]]) {
        for (const node of nodes) {
          await node.setKeys(keys);
          await node.multicast(bytes("still here"), { guarantee: "safe" });
        }
      }
      assert.deepEqual(views, []);
      const [first, second] = nodes;
      assert.ok(first && second);
      await second.close();
      await cluster.start(2, { clusterKey: old });
      // It asks for a place, again and again.
      const end_ms = performance.now() + REFUSAL_MS_MAX;
      while (((await first.stats()).network.refused_unknown_key ?? 0) === 0) {
        assert.ok(performance.now() < end_ms, "the old key is not refused");
      }
    } finally {
      await cluster.close();
    }
  });
});

describe("a start is refused", () => {
  const good = {
    cluster: "test",
    clusterKey: new Uint8Array(32),
    nodeId: 1,
    addresses: ["127.0.1.1"],
    peers: [{ nodeId: 2, addresses: ["127.0.1.2"] }],
  };
  const cases = [
    ["cluster", { cluster: "No!" }],
    ["clusterKey", { clusterKey: new Uint8Array(31) }],
    ["nodeId", { nodeId: 0 }],
    ["addresses", { addresses: [] }],
    ["addresses", { addresses: ["localhost"] }],
    ["peers", { peers: [{ nodeId: 1, addresses: ["127.0.1.2"] }] }],
    ["peers[0].addresses", { peers: [{ nodeId: 2, addresses: ["127.0.1.2", "127.0.2.2"] }] }],
    ["port", { port: 70_000 }],
    ["quorum.tieBreaker", { quorum: { policy: "majority", tieBreaker: 7 } }],
  ] as const;
  for (const [name, change] of cases) {
    test(`for a bad ${name}: ${JSON.stringify(change)}`, async () => {
      await assert.rejects(Raincore.start({ ...good, ...change }), (error: unknown) => {
        return hasCode("RF_ARGUMENT")(error) && (error as Error).message.startsWith(name);
      });
    });
  }

  test("for a fail-over target that cannot be met", async () => {
    await assert.rejects(Raincore.start({ ...good, failoverTarget_ms: 10 }), hasCode("RF_CONFIG_FAILOVER_TARGET"));
  });

  test("for an address or port that cannot be had", async () => {
    const { port, release } = await reservePort();
    const first = await Raincore.start({ ...good, port });
    await assert.rejects(Raincore.start({ ...good, port }), hasCode("RF_RING_PORT"));
    await first.close();
    release();
  });
});
