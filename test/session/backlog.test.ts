// A program that does not take what its ring's thread tells it: bounded in memory, and told why it is out.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { Backlog } from "../../lib/session/backlog.js";
import { Cluster } from "./cluster.js";

const KIB = 1024;
const MIB = 1024 * KIB;
const isSlow = (error: unknown): boolean => error instanceof RainfrontError && error.code === "RF_HOST_SLOW";

test("what was posted and not taken has a limit, for as long as it may run", () => {
  const shared = Backlog.memory();
  const [posts, takes] = [new Backlog(shared, MIB), new Backlog(shared, MIB)];
  // Past where both counts wrap around.
  for (let sum = 0; sum < 2 ** 33; sum += 2 ** 28) {
    for (let part = 0; part < 2 ** 28; part += MIB) {
      posts.post(MIB);
      takes.take(MIB);
    }
    assert.equal(posts.bytes, 0);
  }
  posts.post(MIB);
  assert.throws(() => posts.post(1), isSlow);
  takes.take(MIB + 1);
  posts.post(MIB);
});

/** Whether somebody has this UDP port at this address, as the kernel says. */
function isBound(address: string, port: number): boolean {
  const octets = address.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  const place = `${octets.reverse().join("")}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
  return readFileSync("/proc/net/udp", "utf8").includes(place);
}

test("a program that stands still while its ring is told more than it may keep is out, and learns why", {
  timeout: 60_000,
}, async () => {
  const cluster = await Cluster.of(1, { eventBytes_max: 256 * KIB });
  try {
    const node = await cluster.start(1);
    await node.joined();
    const address = "127.0.1.1";
    assert.ok(isBound(address, cluster.port));
    const closed = once(node, "close");
    const sent = Array.from({ length: 12 }, () => node.multicast(new Uint8Array(64 * KIB)));
    const outcomes = Promise.allSettled(sent);
    await Promise.resolve(); // they are on their way to the ring's thread
    // Stands still, until the ring's thread has given up: then its sockets are closed.
    const end = Date.now() + 30_000;
    while (isBound(address, cluster.port) && Date.now() < end);
    assert.ok(!isBound(address, cluster.port), "the ring's thread goes on");
    const [error] = await closed;
    assert.ok(isSlow(error), String(error));
    for (const outcome of await outcomes) assert.ok(outcome.status === "fulfilled" || isSlow(outcome.reason));
    await assert.rejects(node.multicast(new Uint8Array(1)), isSlow);
  } finally {
    await cluster.close();
  }
});

test("a program that takes what it is told is not out, whatever it is told in all", { timeout: 60_000 }, async () => {
  const cluster = await Cluster.of(1, { eventBytes_max: 256 * KIB });
  try {
    const node = await cluster.start(1);
    await node.joined();
    for (let sent = 0; sent < 64; sent++) await node.multicast(new Uint8Array(64 * KIB));
    assert.equal(node.state, "member");
  } finally {
    await cluster.close();
  }
});
