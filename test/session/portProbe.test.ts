// Real sockets on loopback: what the kernel says of closed ports is what counts.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { it } from "node:test";
import { PortProbe } from "../../lib/session/portProbe.js";
import { reservePort } from "./cluster.js";

const LOCAL = "127.0.0.1";
/** Nobody else's in any test. */
const REMOTE = "127.0.12.2";
const TIMEOUT = { timeout: 20_000 };

/** A port at REMOTE that a process has until `close`. */
async function openPort() {
  const socket = createSocket("udp4").bind({ address: REMOTE, port: 0 });
  await once(socket, "listening");
  return { socket, port: socket.address().port };
}

function probeOf(port: number) {
  const refusals: string[] = [];
  let wake = () => {};
  const probe = new PortProbe({
    addresses: [LOCAL],
    port,
    addressOf: (nodeId, path) => (nodeId === 2 && path === 0 ? REMOTE : undefined),
    onRefused: (nodeId, path) => {
      refusals.push(`${nodeId}/${path}`);
      wake();
    },
  });
  const refused = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return { probe, refusals, refused };
}

it("tells that a port is closed, each time that it is asked", TIMEOUT, async () => {
  const { port, release } = await reservePort();
  const { probe, refusals, refused } = probeOf(port);
  for (let round = 0; round < 2; round++) {
    const told = refused();
    // The probe's socket does not keep a process alive, so something else has to.
    const alive = setInterval(() => {}, 1000);
    probe.ask(2, 0);
    await told;
    clearInterval(alive);
  }
  probe.close();
  release();
  assert.deepEqual(refusals, ["2/0", "2/0"]);
});

it("says nothing of a port that a process has, whether that answers or not", TIMEOUT, async () => {
  const { socket, port } = await openPort();
  const { probe, refusals } = probeOf(port);
  const asked = [once(socket, "message")];
  probe.ask(2, 0);
  await Promise.all(asked);
  const again = once(socket, "message");
  probe.ask(2, 0);
  await again;
  assert.deepEqual(refusals, []);
  probe.close();
  socket.close();
});

it("ignores nodes and paths that it does not know", TIMEOUT, async () => {
  const { port, release } = await reservePort();
  const { probe, refusals, refused } = probeOf(port);
  const alive = setInterval(() => {}, 1000);
  for (let round = 0; round < 2; round++) {
    const told = refused();
    probe.ask(3, 0);
    probe.ask(2, 1);
    // The kernel's word on those before it would come before this.
    probe.ask(2, 0);
    await told;
  }
  clearInterval(alive);
  probe.close();
  release();
  assert.deepEqual(refusals, ["2/0", "2/0"]);
});

it("asks nobody after its end", TIMEOUT, async (t) => {
  const { socket, port } = await openPort();
  const [ended, other] = [probeOf(port), probeOf(port)];
  t.after(() => {
    other.probe.close();
    socket.close();
  });
  const from = new Set<number>();
  socket.on("message", (_bytes, sender) => from.add(sender.port));
  ended.probe.close();
  ended.probe.ask(2, 0);
  for (let round = 0; round < 3; round++) {
    const come = once(socket, "message");
    other.probe.ask(2, 0);
    await come;
  }
  assert.equal(from.size, 1, "each probe has a port of its own");
});

it("survives that its own address has gone, and asks again once that is back", TIMEOUT, async (t) => {
  const { socket, port } = await openPort();
  // An address of no interface here (RFC 5737).
  const addresses = ["192.0.2.1"];
  const probe = new PortProbe({ addresses, port, addressOf: () => REMOTE, onRefused: assert.fail });
  t.after(() => {
    probe.close();
    socket.close();
  });
  for (let round = 0; round < 2; round++) probe.ask(2, 0);
  addresses[0] = LOCAL;
  const come = once(socket, "message");
  probe.ask(2, 0);
  await come;
});
