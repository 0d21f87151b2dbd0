// The two datagram ports over loopback: the addon's and node's pass the same suite. Each test has addresses of its own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterEach, describe, it } from "node:test";
import { loadNative } from "../../lib/native.js";
import {
  ARRIVAL_LENGTH,
  ARRIVAL_OFFSET,
  ARRIVAL_PATH,
  ARRIVAL_PEER,
  ARRIVAL_WORDS,
  DATAGRAM_COUNTERS,
  type DatagramPort,
  type DatagramPortOptions,
} from "../../lib/session/datagramPort.js";
import { openNativePort } from "../../lib/session/datagramPortNative.js";
import { NodeDatagramPort } from "../../lib/session/datagramPortNode.js";

const native = loadNative();
const PORT = 7931;
/** Several processes may run this file at once. */
const NETWORK = `127.${(process.pid >> 8) & 127}.${process.pid & 255}`;
let lastHost = 0;

function address(): string {
  lastHost += 1;
  assert.ok(lastHost < 255);
  return `${NETWORK}.${lastHost}`;
}

interface Arrived {
  readonly text: string;
  readonly length: number;
  readonly path: number;
  readonly peer: number;
}

/** A port, and what it heard. */
class Listener {
  readonly port: DatagramPort;
  readonly arrived: Arrived[] = [];
  timers = 0;
  largestBatch = 0;
  onWake: (() => void) | undefined;
  #waiting: { readonly isEnough: () => boolean; readonly resolve: () => void } | undefined;

  constructor(port: DatagramPort) {
    this.port = port;
    port.listen((count, timerDue) => {
      this.#read(count);
      if (timerDue) this.timers += 1;
      this.onWake?.();
      if (this.#waiting?.isEnough() === true) this.#waiting.resolve();
    });
  }

  /** Resolves when that holds after a wake-up; the test runner's limit ends what never comes. */
  until(isEnough: () => boolean): Promise<void> {
    if (isEnough()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = { isEnough, resolve };
    });
  }

  datagrams(count: number): Promise<void> {
    return this.until(() => this.arrived.length >= count);
  }

  send(peer: number, datagram: Uint8Array): void {
    const offset = this.port.reserve(datagram.length);
    this.port.outgoing.set(datagram, offset);
    this.port.send(peer, offset, datagram.length);
  }

  #read(count: number): void {
    this.largestBatch = Math.max(this.largestBatch, count);
    const { arrivals, incoming } = this.port;
    for (let at = 0; at < count * ARRIVAL_WORDS; at += ARRIVAL_WORDS) {
      const offset = arrivals[at + ARRIVAL_OFFSET] ?? -1;
      const length = arrivals[at + ARRIVAL_LENGTH] ?? -1;
      const bytes = incoming.subarray(offset, offset + length);
      assert.equal(bytes.length, length);
      this.arrived.push({
        text: bytes.subarray(0, 16).toString("latin1").replace(/\.*$/, ""),
        length,
        path: arrivals[at + ARRIVAL_PATH] ?? -1,
        peer: arrivals[at + ARRIVAL_PEER] ?? -1,
      });
    }
  }
}

/** A datagram of that size that begins with the text. */
function datagram(text: string, length = 100): Buffer {
  return Buffer.from(text.padEnd(length, "."), "latin1").subarray(0, length);
}

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

describe("a process with a native datagram port", () => {
  const libraries = ["native.ts", "session/datagramPortNative.ts"].map((file) =>
    JSON.stringify(new URL(`../../lib/${file}`, import.meta.url).href),
  );
  /** Runs the script to its end: what it printed, and how it ended. */
  const run = (script: string) => {
    const start = `
      const { loadNative } = await import(${libraries[0]});
      const { openNativePort } = await import(${libraries[1]});
      const open = (onWake) => {
        const port = openNativePort(loadNative(), { addresses: [${JSON.stringify(address())}], port: ${PORT}, peers: [] });
        port.listen(onWake ?? (() => {}));
        return port;
      };`;
    const args = ["--import", "tsx", "--input-type=module", "--eval", start + script];
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 30_000 });
    return { status, signal, stdout, stderr };
  };
  const CLEAN = { status: 0, signal: null, stdout: "", stderr: "" };
  /** A worker that opens a port, sets a timer that fires all the time, and says so; `then` is run when it has. */
  const worker = (then: string, inWorker = "") => {
    const source = `import("tsx/esm/api").then(async ({ register }) => {
      register();
      const { loadNative } = await import(${libraries[0]});
      const { openNativePort } = await import(${libraries[1]});
      const { parentPort } = await import("node:worker_threads");
      const port = openNativePort(loadNative(), { addresses: [${JSON.stringify(address())}], port: ${PORT}, peers: [] });
      let wakes = 0;
      port.listen(() => {
        port.setTimer(0);
        wakes += 1;
        if (wakes === 3) { parentPort.postMessage("awake"); ${inWorker} }
      });
      port.setTimer(0);
    })`;
    return `
      const { Worker } = await import("node:worker_threads");
      const worker = new Worker(${JSON.stringify(source)}, { eval: true });
      await new Promise((resolve) => worker.once("message", resolve));
      ${then}`;
  };

  it("goes on while the port is open, and ends when it is closed", () => {
    const result = run(
      `const port = open((_, due) => { console.log(due); port.close(); }); port.setTimer(port.now_ms() + 50);`,
    );
    assert.deepEqual(result, { ...CLEAN, stdout: "true\n" });
  });

  it("ends by process.exit with the port open, also from within the call", () => {
    assert.deepEqual(run("open(); setTimeout(() => process.exit(0), 1);"), CLEAN);
    assert.deepEqual(run("const port = open(() => process.exit(0)); port.setTimer(0);"), CLEAN);
  });

  it("ends when the port was opened and never listened to", () => {
    const script = `globalThis.port = openNativePort(loadNative(), { addresses: ["${address()}"], port: ${PORT}, peers: [] });`;
    assert.deepEqual(run(script), CLEAN);
  });

  it("hears of an exception in the call", () => {
    const result = run(
      `process.on("uncaughtException", (error) => { console.log(error.message); port.close(); });
       const port = open(() => { throw new Error("from the call"); }); port.setTimer(0);`,
    );
    assert.deepEqual(result, { ...CLEAN, stdout: "from the call\n" });
  });

  it("runs promises and ticks that the call has made", () => {
    const result = run(
      `const port = open(() => { Promise.resolve().then(() => console.log("promise")); process.nextTick(() => port.close()); });
       port.setTimer(0);`,
    );
    assert.deepEqual(result, { ...CLEAN, stdout: "promise\n" });
  });

  it("survives the end of a worker that has one, however it comes", () => {
    assert.deepEqual(run(worker("await worker.terminate();")), CLEAN);
    assert.deepEqual(
      run(worker(`await new Promise((resolve) => worker.once("exit", resolve));`, "process.exit();")),
      CLEAN,
    );
    assert.deepEqual(
      run(worker(`await new Promise((resolve) => worker.once("exit", resolve));`, "port.close();")),
      CLEAN,
    );
    assert.deepEqual(run(worker("process.exit(0);")), CLEAN);
  });

  it("survives many workers that are terminated while their ports are busy", () => {
    const script = worker("await worker.terminate();");
    const [head = "", ...rest] = script.split("const worker = ");
    assert.deepEqual(
      run(`${head} for (let round = 0; round < 5; round++) { const worker = ${rest.join("const worker = ")} }`),
      CLEAN,
    );
  });

  it("frees the addresses at once when it closes", () => {
    assert.deepEqual(run("for (let i = 0; i < 20; i++) open().close();"), CLEAN);
  });
});

it("the counters have the names that the addon's source gives them", () => {
  const source = readFileSync(new URL("../../native/datagram/counters.h", import.meta.url), "utf8");
  const names = [...source.matchAll(/^ {2}COUNTER\((\w+)\)/gm)].map((match) => match[1]);
  assert.deepEqual(names, [...DATAGRAM_COUNTERS]);
});
