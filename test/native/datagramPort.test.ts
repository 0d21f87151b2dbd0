// The two datagram ports over loopback: the addon's and node's pass the same suite. Each test has addresses of its own.

import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { loadNative } from "../../lib/native.js";
import { DATAGRAM_COUNTERS, type DatagramPort, type DatagramPortOptions } from "../../lib/session/datagramPort.js";
import { openNativePort } from "../../lib/session/datagramPortNative.js";
import { NodeDatagramPort } from "../../lib/session/datagramPortNode.js";
import { address, datagram, Listener, PORT } from "./listener.js";

const native = loadNative();

const IMPLEMENTATIONS: ReadonlyMap<string, (options: DatagramPortOptions) => Promise<DatagramPort>> = new Map([
  ["native", async (options: DatagramPortOptions) => openNativePort(native, options)],
  ["node", (options: DatagramPortOptions) => NodeDatagramPort.open(options)],
]);

for (const [name, openPort] of IMPLEMENTATIONS) {
  const opened: DatagramPort[] = [];
  const open = async (options: Omit<DatagramPortOptions, "port">): Promise<Listener> => {
    const port = await openPort({ port: PORT, ...options });
    opened.push(port);
    return new Listener(port);
  };
  /** Two ports that are each other's peer 0, and peer 1 over a second path. */
  const pair = async (): Promise<[Listener, Listener]> => {
    const [a, b] = [
      [address(), address()],
      [address(), address()],
    ];
    const peersOf = (addresses: readonly string[]) => addresses.map((one, path) => ({ path, address: one }));
    return [await open({ addresses: a, peers: peersOf(b) }), await open({ addresses: b, peers: peersOf(a) })];
  };

  describe(`the ${name} datagram port`, { timeout: 60_000 }, () => {
    afterEach(() => {
      for (const port of opened.splice(0)) port.close();
    });

    it("carries datagrams both ways, over both paths, and knows whom they are from", async () => {
      const [a, b] = await pair();
      a.send(0, datagram("one"));
      a.send(1, datagram("two", 7));
      a.port.flush();
      await b.datagrams(2);
      assert.deepEqual(
        [...b.arrived].sort((x, y) => x.path - y.path),
        [
          { text: "one", length: 100, path: 0, peer: 0 },
          { text: "two", length: 7, path: 1, peer: 1 },
        ],
      );
      b.send(0, datagram("back"));
      b.port.flush();
      await a.datagrams(1);
      assert.deepEqual(a.arrived, [{ text: "back", length: 100, path: 0, peer: 0 }]);
    });

    it("sends nothing before it is told to flush", async () => {
      const [a, b] = await pair();
      a.send(0, datagram("queued"));
      assert.equal(a.port.counters().datagrams_out, 0);
      b.send(0, datagram("to wait for"));
      b.port.flush();
      await a.datagrams(1);
      assert.equal(b.arrived.length, 0);
      a.port.flush();
      await b.datagrams(1);
    });

    it("tells that a datagram is from nobody that it knows", async () => {
      const [to, from] = [address(), address()];
      const receiver = await open({ addresses: [to], peers: [{ path: 0, address: address() }] });
      const stranger = await open({ addresses: [from], peers: [{ path: 0, address: to }] });
      stranger.send(0, datagram("who"));
      stranger.port.flush();
      await receiver.datagrams(1);
      assert.equal(receiver.arrived[0]?.peer, -1);
    });

    it("keeps the order of hundreds of datagrams of all sizes, and loses none", async () => {
      const [a, b] = await pair();
      const sent = Array.from({ length: 600 }, (_, i) => ({ text: `#${i}`, length: 5 + ((i * 37) % 1400) }));
      for (const { text, length } of sent) a.send(0, datagram(text, length));
      a.port.flush();
      await b.datagrams(sent.length);
      assert.deepEqual(
        b.arrived.map(({ text, length }) => ({ text, length })),
        sent,
      );
    });

    it("carries 60 KB as 45 datagrams of one size and a smaller one", async () => {
      const [a, b] = await pair();
      const sizes = [...Array.from({ length: 44 }, () => 1400), 333];
      for (const [i, size] of sizes.entries()) a.send(0, datagram(`part ${i}`, size));
      a.port.flush();
      await b.datagrams(sizes.length);
      assert.deepEqual(
        b.arrived,
        sizes.map((length, i) => ({ text: `part ${i}`, length, path: 0, peer: 0 })),
      );
      assert.equal(a.port.counters().datagrams_out, 45);
      assert.equal(b.port.counters().datagrams_in, 45);
    });

    it("carries the largest datagram, and an empty one", async () => {
      const [a, b] = await pair();
      a.send(0, datagram("large", 65_507));
      a.send(0, new Uint8Array(0));
      a.port.flush();
      await b.datagrams(2);
      assert.deepEqual(
        b.arrived.map(({ length }) => length),
        [65_507, 0],
      );
      assert.throws(() => a.port.reserve(65_508), RangeError);
    });

    it("makes room by sending when there is more than the slab holds", async () => {
      const [a, b] = await pair();
      for (let i = 0; i < 40; i++) a.send(0, datagram(`#${i}`, 60_000));
      a.port.flush();
      await b.datagrams(40);
      assert.deepEqual(
        b.arrived.map(({ text }) => text),
        Array.from({ length: 40 }, (_, i) => `#${i}`),
      );
    });

    it("goes on when a destination refuses, and when there is no way to one", async () => {
      const [own, other, nobody] = [address(), address(), address()];
      const receiver = await open({ addresses: [other], peers: [{ path: 0, address: own }] });
      const peers = [nobody, "198.51.100.77", other].map((one) => ({ path: 0, address: one }));
      const sender = await open({ addresses: [own], peers });
      for (let i = 0; i < 10; i++) {
        sender.send(0, datagram("to a closed port"));
        // A loopback address as the source: no packet of it may leave the machine.
        sender.send(1, datagram("to nowhere"));
        sender.send(2, datagram(`#${i}`));
        sender.port.flush();
      }
      await receiver.datagrams(10);
      const { datagrams_out, send_failed, send_unreachable } = sender.port.counters();
      assert.deepEqual([datagrams_out, send_failed + send_unreachable], [20, 10]);
      assert.equal(sender.arrived.length, 0);
    });

    it("refuses an address that is taken, or not this machine's, by the system's code", async () => {
      const taken = address();
      await open({ addresses: [taken], peers: [] });
      await assert.rejects(open({ addresses: [address(), taken], peers: [] }), { code: "EADDRINUSE" });
      await assert.rejects(open({ addresses: ["198.51.100.1"], peers: [] }), { code: "EADDRNOTAVAIL" });
    });

    it("calls when the time has come that was set last, once, and not before", async () => {
      const listener = await open({ addresses: [address()], peers: [] });
      const { port } = listener;
      const start_ms = port.now_ms();
      port.setTimer(start_ms + 5);
      port.setTimer(start_ms + 30);
      await listener.until(() => listener.timers > 0);
      assert.ok(port.now_ms() >= start_ms + 30);
      port.setTimer(port.now_ms() + 5);
      port.setTimer(Number.POSITIVE_INFINITY);
      const other = await open({ addresses: [address()], peers: [] });
      other.port.setTimer(other.port.now_ms() + 30);
      await other.until(() => other.timers > 0);
      assert.equal(listener.timers, 1);
    });

    it("lets the timer be set from within the call, again and again, also to a time that is past", async () => {
      const listener = await open({ addresses: [address()], peers: [] });
      listener.onWake = () => {
        if (listener.timers < 50) listener.port.setTimer(listener.port.now_ms() - 1);
      };
      listener.port.setTimer(0);
      await listener.until(() => listener.timers === 50);
      assert.equal(listener.port.counters().wakes, 50);
    });

    it("hears datagrams that came before the time was due first", async () => {
      const [a, b] = await pair();
      for (let i = 0; i < 5; i++) a.send(0, datagram(`#${i}`));
      a.port.flush();
      let heardBefore: number | undefined;
      b.onWake = () => {
        if (b.timers === 1) heardBefore ??= b.arrived.length;
      };
      const due_ms = b.port.now_ms() + 2;
      b.port.setTimer(due_ms);
      // The thread is busy until the time is long past.
      while (b.port.now_ms() < due_ms + 5);
      await b.until(() => b.timers === 1);
      assert.equal(heardBefore, 5);
    });

    it("is silent after close, which may come from within the call", async () => {
      const [a, b] = await pair();
      b.onWake = () => b.port.close();
      for (let i = 0; i < 50; i++) a.send(0, datagram(`#${i}`));
      b.port.setTimer(b.port.now_ms());
      a.port.flush();
      await b.until(() => b.arrived.length > 0 || b.timers > 0);
      const heard = b.arrived.length;
      a.send(0, datagram("too late"));
      a.port.flush();
      // Whatever was on its way to b would be served in the same turns of the loop as this.
      a.port.setTimer(a.port.now_ms() + 20);
      await a.until(() => a.timers === 1);
      assert.equal(b.arrived.length, heard);
      b.port.close();
      assert.throws(() => b.port.setTimer(0), { code: "RF_PORT_CLOSED" });
      assert.ok(b.port.now_ms() > 0);
    });

    it("counts under the same names as every implementation", async () => {
      const { port } = await open({ addresses: [address()], peers: [] });
      assert.deepEqual(Object.keys(port.counters()), [...DATAGRAM_COUNTERS]);
    });
  });
}
