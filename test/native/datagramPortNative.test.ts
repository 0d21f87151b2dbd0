// What only the addon's datagram port has: merged packets, batches, the kernel's drops counted, arguments checked.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, describe, it } from "node:test";
import { loadNative } from "../../lib/native.js";
import { DATAGRAM_COUNTERS, type DatagramPort, type DatagramPortOptions } from "../../lib/session/datagramPort.js";
import { openNativePort } from "../../lib/session/datagramPortNative.js";
import { address, datagram, Listener, PORT } from "./listener.js";

const native = loadNative();

describe("the native datagram port's own", { timeout: 60_000 }, () => {
  const ports: DatagramPort[] = [];
  const open = (options: Omit<DatagramPortOptions, "port">): Listener => {
    const port = openNativePort(native, { port: PORT, ...options });
    ports.push(port);
    return new Listener(port);
  };
  const pair = (): [Listener, Listener] => {
    const [a, b] = [address(), address()];
    return [
      open({ addresses: [a], peers: [{ path: 0, address: b }] }),
      open({ addresses: [b], peers: [{ path: 0, address: a }] }),
    ];
  };
  afterEach(() => {
    for (const port of ports.splice(0)) port.close();
  });

  it("merging: 45 datagrams go out as one packet, and come in as one", async () => {
    const [a, b] = pair();
    for (let i = 0; i < 45; i++) a.send(0, datagram(`part ${i}`, 1400));
    a.port.flush();
    await b.datagrams(45);
    assert.deepEqual([a.port.counters().merged_out, a.port.counters().merge_refused], [1, 0]);
    assert.equal(b.port.counters().merged_in, 1);
    assert.equal(b.largestBatch, 45);
  });

  it("batches: more than 64 datagrams come in one call", async () => {
    const [a, b] = pair();
    for (let i = 0; i < 500; i++) a.send(0, datagram(`#${i}`, 200));
    a.port.flush();
    await b.datagrams(500);
    assert.ok(b.largestBatch > 64, `largest was ${b.largestBatch}`);
    assert.ok(b.port.counters().wakes < 50);
  });

  it("merging: a smaller one is the last of its packet, and what is beyond a packet's size is another", async () => {
    const [a, b] = pair();
    const sizes = [1000, 1000, 600, 600, 40_000, 20_000, 40_000, 40_000];
    for (const [i, size] of sizes.entries()) a.send(0, datagram(`#${i}`, size));
    a.port.flush();
    await b.datagrams(sizes.length);
    assert.deepEqual(
      b.arrived.map(({ text, length }) => ({ text, length })),
      sizes.map((length, i) => ({ text: `#${i}`, length })),
    );
    assert.equal(a.port.counters().merged_out, 2);
  });

  it("fairness: a flooded socket does not keep the others from being heard", async () => {
    const [flooded, quiet] = [address(), address()];
    const [flooder, visitor] = [address(), address()];
    const receiver = open({ addresses: [flooded, quiet], peers: [] });
    const flood = open({ addresses: [flooder], peers: [{ path: 0, address: flooded }] });
    const visit = open({ addresses: [visitor], peers: [{ path: 0, address: quiet }] });
    // Sizes differ, so that nothing is merged: many more packets than one call takes.
    for (let i = 0; i < 400; i++) flood.send(0, datagram(`#${i}`, 100 + i));
    flood.port.flush();
    visit.send(0, datagram("visitor"));
    visit.port.flush();
    let place: number | undefined;
    receiver.onWake = () => {
      place ??= receiver.arrived.some(({ path }) => path === 1) ? receiver.port.counters().wakes : undefined;
    };
    await receiver.datagrams(401);
    assert.equal(place, 1);
  });

  it("counters: what the kernel drops because nobody reads is counted", async () => {
    const [a, b] = [address(), address()];
    const sender = open({ addresses: [a], peers: [{ path: 0, address: b }] });
    const receiver = openNativePort(native, { port: PORT, addresses: [b], peers: [] });
    ports.push(receiver);
    for (let i = 0; i < 600; i++) sender.send(0, datagram("flood", 60_000 - i));
    sender.port.flush();
    const sent = sender.port.counters().datagrams_out;
    const listener = new Listener(receiver);
    await listener.until(() => listener.arrived.length + receiver.counters().receive_overflow === sent);
    assert.ok(receiver.counters().receive_overflow > 0);
  });

  it("arguments: what does not fit is refused and named", () => {
    const good = {
      addresses: [address()],
      port: PORT,
      peers: [{ path: 0, address: "127.0.0.1" }],
      buffer_bytes: 65_536,
      incoming: Buffer.alloc(65_536),
      arrivals: new Int32Array(512),
      outgoing: Buffer.alloc(1000),
      departures: new Int32Array(6),
    };
    const bad: [RegExp, object][] = [
      [/addresses/, { addresses: [] }],
      [/addresses/, { addresses: ["localhost"] }],
      [/port/, { port: 0 }],
      [/port/, { port: 65_536 }],
      [/path/, { peers: [{ path: 1, address: "127.0.0.1" }] }],
      [/path/, { peers: [{ path: 0.5, address: "127.0.0.1" }] }],
      [/address/, { peers: [{ path: 0, address: 5 }] }],
      [/incoming/, { incoming: Buffer.alloc(65_535) }],
      [/arrivals/, { arrivals: new Int32Array(511) }],
      [/arrivals/, { arrivals: new Uint8Array(4096) }],
      [/departures/, { departures: undefined }],
    ];
    for (const [message, change] of bad) {
      assert.throws(
        () => new native.DatagramPort({ ...good, ...change } as typeof good),
        (error: Error) => {
          assert.match(error.message, message);
          return (error as NodeJS.ErrnoException).code === "RF_ARGUMENT";
        },
      );
    }
    const port = new native.DatagramPort(good);
    const flush = (departures: readonly number[], count = 1) => {
      good.departures.set(departures);
      return () => port.flush(count);
    };
    for (const departures of [
      [1, 0, 10],
      [-1, 0, 10],
      [0, -1, 10],
      [0, 0, -1],
      [0, 995, 6],
      [0, 2 ** 31 - 1, 2 ** 31 - 1],
    ]) {
      assert.throws(flush(departures), { code: "RF_ARGUMENT" });
    }
    assert.throws(flush([0, 0, 1], 3), { code: "RF_ARGUMENT" });
    assert.equal(port.counters().datagrams_out, 0);
    assert.throws(() => port.setTimer(Number.NaN), { code: "RF_ARGUMENT" });
    port.close();
    assert.throws(() => port.flush(0), { code: "RF_PORT_CLOSED" });
    assert.throws(() => port.listen(() => undefined), { code: "RF_PORT_CLOSED" });
  });
});

it("the counters have the names that the addon's source gives them", () => {
  const source = readFileSync(new URL("../../native/datagram/counters.h", import.meta.url), "utf8");
  const names = [...source.matchAll(/^ {2}COUNTER\((\w+)\)/gm)].map((match) => match[1]);
  assert.deepEqual(names, [...DATAGRAM_COUNTERS]);
});
