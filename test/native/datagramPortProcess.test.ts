// Processes and workers with the addon's datagram port: each is run to its end, so that a hang or a crash shows.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { address, PORT } from "./listener.js";

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
