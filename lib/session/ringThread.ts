// The host's end of the ring's thread: starts it, sends requests in batches, hands events on in order. Used by raincore.ts.
import { Worker } from "node:worker_threads";
import { RainfrontError } from "../errors.js";
import type { SessionConfig, SessionEvent, SessionRequest } from "./protocol.js";

const IS_SOURCE = import.meta.url.endsWith(".ts");
const ENTRY = new URL(IS_SOURCE ? "./worker.ts" : "./worker.js", import.meta.url);

export class RingThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #requests: SessionRequest[] = [];

  constructor(
    config: SessionConfig,
    onEvent: (event: SessionEvent) => void,
    onEnd: (error: Error | undefined) => void,
  ) {
    this.#worker = startWorker(config);
    let failure: Error | undefined;
    this.#worker.on("message", (events: readonly SessionEvent[]) => {
      for (const event of events) onEvent(event);
    });
    this.#worker.on("error", (cause: Error) => {
      failure = new RainfrontError("RF_INTERNAL", `the ring's thread broke down: ${cause.message}`, { cause });
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", () => {
        onEnd(failure);
        resolve();
      });
    });
  }

  /** All of one turn of the event loop go in one message. */
  post(request: SessionRequest): void {
    if (this.#requests.length === 0) queueMicrotask(() => this.#flush());
    this.#requests.push(request);
  }

  /** The thread does not keep the process alive (or does again). */
  setKeptAlive(kept: boolean): void {
    if (kept) this.#worker.ref();
    else this.#worker.unref();
  }

  /** Resolves when the thread has ended. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  #flush(): void {
    const requests = this.#requests;
    this.#requests = [];
    this.#worker.postMessage(requests);
  }
}

function startWorker(workerData: SessionConfig): Worker {
  const options = { workerData, name: "rainfront-ring" };
  if (!IS_SOURCE) return new Worker(ENTRY, options);
  // The loader that lets tests run the source does not follow into threads by itself.
  const loader = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(ENTRY.href)})));`;
  return new Worker(loader, { ...options, eval: true });
}
