// Whatever is asked of a Raincore that is full, leaving, closed or broken is answered, and the ring bears what its program does.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes, randomFillSync } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { RainfrontError } from "../../lib/errors.js";
import { SecureChannel } from "../../lib/raincore/secureChannel.js";
import { nodeAead } from "../../lib/session/aead.js";
import type { RaincoreOptions } from "../../lib/session/options.js";
import type { Raincore } from "../../lib/session/raincore.js";
import { Cluster } from "./cluster.js";
import type { Orders } from "./plugin.js";

const PLUGIN = new URL("./plugin.ts", import.meta.url).href;
const bytes = (from: string): Uint8Array => Buffer.from(from);
const hasCode = (code: string) => (error: unknown) => error instanceof RainfrontError && error.code === code;
const plugin = (data: Orders) => ({ plugin: { module: PLUGIN, data } });
/** What is tested here fails by never ending. Nearly all of the time a node waits for others that do not come, so many wait at once. */
const OPTIONS = { timeout: 60_000, concurrency: 4 };

/** One node, alone in its group. */
async function withNode(change: Partial<RaincoreOptions>, act: (node: Raincore) => Promise<void>): Promise<void> {
  const cluster = await Cluster.of(1, change);
  try {
    const node = await cluster.start(1);
    await node.joined();
    await act(node);
  } finally {
    await cluster.close();
  }
}

/** One node that looks for others for longer than any test. */
async function withJoiner(act: (node: Raincore) => Promise<void>): Promise<void> {
  const cluster = await Cluster.of(2, { startupWait_ms: 600_000 });
  try {
    await act(await cluster.start(1));
  } finally {
    await cluster.close();
  }
}

describe("whatever is asked of a Raincore", OPTIONS, () => {
  describe("a program that sends too much", OPTIONS, () => {
    test("is refused messages larger than the queue, and the ring goes on", () =>
      withNode({ multicastQueueBytes_max: 2048 }, async (node) => {
        await assert.rejects(node.multicast(new Uint8Array(2049)), hasCode("RF_MESSAGE_SIZE"));
        await node.multicast(new Uint8Array(2048));
      }));

    test("sees how much is under way, is refused more, and hears when there is room", () =>
      withNode({ multicastQueueBytes_max: 4096 }, async (node) => {
        const sent = Array.from({ length: 4 }, () => node.multicast(new Uint8Array(1024)));
        assert.equal(node.multicastBytes, 4096);
        await assert.rejects(node.multicast(new Uint8Array(1)), hasCode("RF_MULTICAST_FULL"));
        await once(node, "drain");
        assert.ok(node.multicastBytes <= 2048);
        await Promise.all([...sent, node.multicast(new Uint8Array(1024))]);
        assert.equal(node.multicastBytes, 0);
      }));

    test("may use its buffer again at once", () =>
      withNode({}, async (node) => {
        const buffer = Buffer.from("first");
        const delivered = once(node, "message");
        const sent = node.multicast(buffer);
        buffer.write("other");
        await sent;
        const [message] = (await delivered) as [{ bytes: Uint8Array }];
        assert.equal(Buffer.from(message.bytes).toString(), "first");
      }));
  });

  describe("a lock", OPTIONS, () => {
    test("that was lost can be given back all the same", () =>
      withNode({}, async (node) => {
        const held = await node.lock("short", { ttl_ms: 20 });
        if (!held.lost.aborted) await once(held.lost, "abort");
        await held.release();
        const next = await node.lock("short");
        await next.release();
      }));

    test("that is lost as it is granted says so", () =>
      withNode({}, async (node) => {
        const held = await node.lock("none", { ttl_ms: 0 });
        if (!held.lost.aborted) await once(held.lost, "abort");
        assert.equal(held.lost.reason, "expired");
      }));

    test("is lost when its node leaves, and who waits for it there is refused", () =>
      withNode({}, async (node) => {
        const held = await node.lock("job");
        const waiting = assert.rejects(node.lock("job"), hasCode("RF_NOT_MEMBER"));
        await node.leave();
        assert.equal(held.lost.aborted, true);
        await waiting;
        await held.release();
      }));
  });

  describe("a shared carriage", OPTIONS, () => {
    test("can be made again after it was removed", () =>
      withNode({}, async (node) => {
        const carriage = node.carriage("plan");
        await carriage.update(() => bytes("one"));
        await carriage.update(() => undefined);
        assert.equal(carriage.state.bytes, undefined);
        await carriage.update(() => bytes("two"));
        assert.deepEqual(carriage.state.bytes, new Uint8Array(bytes("two")));
      }));
  });

  describe("a node that has left, or leaves before it came in", OPTIONS, () => {
    test("refuses what only members can do, until it joins again", () =>
      withNode({}, async (node) => {
        await Promise.all([node.leave(), node.leave()]);
        await node.leave();
        await assert.rejects(node.multicast(bytes("x")), hasCode("RF_NOT_MEMBER"));
        await assert.rejects(node.lock("x", { wait_ms: 10 }), hasCode("RF_NOT_MEMBER"));
        await assert.rejects(
          node.carriage("x").update(() => bytes("x")),
          hasCode("RF_NOT_MEMBER"),
        );
        await assert.rejects(node.joined(), hasCode("RF_NOT_MEMBER"));
        assert.equal((await node.stats()).state, "closed");
        node.join();
        await node.joined();
        await node.multicast(bytes("back"));
      }));

    test("settles what waited for a group", () =>
      withJoiner(async (node) => {
        const ends = [
          assert.rejects(node.multicast(bytes("x")), hasCode("RF_NOT_DELIVERED")),
          assert.rejects(node.lock("x"), hasCode("RF_NOT_MEMBER")),
          assert.rejects(
            node.carriage("x").update(() => bytes("x")),
            hasCode("RF_NOT_DELIVERED"),
          ),
          assert.rejects(node.joined(), hasCode("RF_NOT_MEMBER")),
        ];
        await node.leave();
        await Promise.all(ends);
        assert.equal(node.multicastBytes, 0);
      }));

    test("has left also when it joins again at once", () =>
      withNode({}, async (node) => {
        const left = node.leave();
        node.on("state", (state) => {
          if (state === "closed") node.join();
        });
        await left;
      }));
  });

  describe("a node that is closed", OPTIONS, () => {
    test("settles all that waits, and has no lease", () =>
      withJoiner(async (node) => {
        const stop = new AbortController();
        const ends = [
          assert.rejects(node.multicast(bytes("x")), hasCode("RF_CLOSED")),
          assert.rejects(node.send(2, bytes("x")), hasCode("RF_CLOSED")),
          assert.rejects(node.lock("x", { signal: stop.signal }), hasCode("RF_CLOSED")),
          assert.rejects(
            node.carriage("x").update(() => bytes("x")),
            hasCode("RF_CLOSED"),
          ),
          assert.rejects(node.joined(), hasCode("RF_CLOSED")),
        ];
        await Promise.all([node.close(), node.close()]);
        await Promise.all(ends);
        await node.leave();
        await assert.rejects(node.joined(), hasCode("RF_CLOSED"));
      }));

    test("says that its lease is over", () =>
      withNode({}, async (node) => {
        assert.equal(node.leaseValid, true);
        const lease = once(node, "lease");
        await node.close();
        assert.deepEqual(await lease, [false]);
        assert.equal(node.leaseValid, false);
      }));

    test("ends though its plugin has timers, and though its plugin does not return", async () => {
      const hang = async (node: Raincore): Promise<void> => {
        const hanging = assert.rejects(node.call("hang", undefined), hasCode("RF_CLOSED"));
        await node.close();
        await hanging;
      };
      await Promise.all([withNode(plugin({ timer: true }), (node) => node.close()), withNode(plugin({}), hang)]);
    });
  });

  describe("a plugin", OPTIONS, () => {
    test("that fails in a call costs only the call", () =>
      withNode(plugin({}), async (node) => {
        await assert.rejects(node.call("throw", undefined), hasCode("RF_VIP_UNKNOWN"));
        await assert.rejects(node.call("function", undefined), hasCode("RF_INTERNAL"));
        await assert.rejects(
          node.call("echo", () => 1),
          hasCode("RF_ARGUMENT"),
        );
        assert.deepEqual(await node.call("echo", { n: 1 }), { n: 1 });
      }));

    test("that cannot start says why, with the code of the addon too, and leaves the port free", async () => {
      const cluster = await Cluster.of(1);
      try {
        await assert.rejects(cluster.start(1, plugin({ throwAtStart: "coded" })), hasCode("RF_NIC_MTU"));
        await assert.rejects(cluster.start(1, plugin({ throwAtStart: "native" })), hasCode("RF_NIC_MISSING"));
        await cluster.start(1);
      } finally {
        await cluster.close();
      }
    });

    test("is closed when the ring refuses its modules, or breaks down by its fault", async () => {
      const folder = mkdtempSync(join(tmpdir(), "rft-plugin-"));
      const cluster = await Cluster.of(1);
      try {
        const diary = join(folder, "diary");
        await assert.rejects(cluster.start(1, plugin({ twins: true, diary })), hasCode("RF_ARGUMENT"));
        assert.equal(readFileSync(diary, "utf8"), "closed\n");
        const node = await cluster.start(1, plugin({ diary }));
        await node.joined();
        await node.call("failAtState", undefined);
        const closed = once(node, "close");
        await node.leave();
        const [error] = (await closed) as [Error | undefined];
        assert.ok(hasCode("RF_PORT_RING")(error), String(error));
        assert.equal(readFileSync(diary, "utf8"), "closed\nclosed\n");
        await assert.rejects(node.stats(), hasCode("RF_PORT_RING"));
      } finally {
        await cluster.close();
        rmSync(folder, { recursive: true });
      }
    });

    test("with data that is not plain is refused", async () => {
      const cluster = await Cluster.of(1);
      await assert.rejects(cluster.start(1, { plugin: { module: PLUGIN, data: () => 1 } }), hasCode("RF_ARGUMENT"));
      await cluster.close();
    });
  });

  describe("keys", OPTIONS, () => {
    test("that are the same are refused, at the start and later", async () => {
      const key = randomBytes(32);
      const cluster = await Cluster.of(1);
      try {
        await assert.rejects(cluster.start(1, { clusterKey: [key, key] }), hasCode("RF_ARGUMENT"));
        const node = await cluster.start(1);
        await assert.rejects(node.setKeys([key, key]), hasCode("RF_ARGUMENT"));
        await node.setKeys([key]);
      } finally {
        await cluster.close();
      }
    });

    test("stay with whoever gave them", async () => {
      const key = Buffer.alloc(32, 9);
      const cluster = await Cluster.of(1, { clusterKey: key });
      const node = await cluster.start(1);
      await node.setKeys(key);
      await cluster.close();
      assert.ok(key.equals(Buffer.alloc(32, 9)));
    });

    test("are not suspected to differ for one forged datagram; strangers' addresses are not even listened to", async () => {
      const cluster = await Cluster.of(2, { startupWait_ms: 600_000, ...plugin({}) });
      const sockets = ["127.0.1.2", "127.0.1.77"].map((address) => ({ address, socket: createSocket("udp4") }));
      try {
        const node = await cluster.start(1);
        const sealed = forgery("test");
        for (const { address, socket } of sockets) {
          await new Promise<void>((resolve) => socket.bind(cluster.port, address, resolve));
          await new Promise((resolve) => socket.send(sealed, cluster.port, "127.0.1.1", resolve));
        }
        let network: Readonly<Record<string, number>> = {};
        while ((network.refused_unknown_address ?? 0) === 0 || (network.refused_unknown_key ?? 0) === 0) {
          network = (await node.stats()).network;
        }
        assert.deepEqual(await node.call("suspects", undefined), []);
      } finally {
        for (const { socket } of sockets) socket.close();
        await cluster.close();
      }
    });
  });

  describe("the process", OPTIONS, () => {
    const run = async (what: string): Promise<readonly [number | null, string]> => {
      const program = fileURLToPath(new URL("./program.ts", import.meta.url));
      const child = spawn(process.execPath, ["--import", "tsx", program, what], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let printed = "";
      child.stdout.on("data", (data) => {
        printed += String(data);
      });
      await once(child, "close");
      return [child.exitCode, printed];
    };

    test("may end while the ring runs", async () => assert.deepEqual(await run("exit"), [3, "joined\n"]));

    test("ends by itself after close", async () => assert.deepEqual(await run("close"), [0, "joined\n"]));

    test("that survives a listener's failure hears that it has come in", async () =>
      assert.deepEqual(await run("come"), [0, "joined\nof the listener for state, of the listener for view\n"]));

    test("that survives a listener's failure loses no outcome by it", async () =>
      assert.deepEqual(await run("throw"), [0, "joined\nfailed: of the listener\ndelivered\n"]));
  });
});

/** A datagram of node 2 to node 1 under a key that nobody has. */
function forgery(cluster: string): Buffer {
  const channel = new SecureChannel({
    aead: nodeAead(),
    random: (out) => randomFillSync(out),
    clusterKeys: [randomBytes(32)],
    cluster,
    nodeId: 2,
    incarnation: 1n,
    peers: [1],
  });
  return channel.seal(1, bytes("forged"));
}
