// The host's end of the ring's thread: starts it, sends requests in batches, hands events on in order. Used by raincore.ts.
import { Worker } from "node:worker_threads";
import { RainfrontError } from "../errors.js";
import { Backlog } from "./backlog.js";
import { settleCollector } from "./collector.js";
import { unpackEvent } from "./eventQueue.js";
import type { PostedEvents, SessionConfig, SessionEvent, SessionRequest, WorkerData } from "./protocol.js";
import { RequestQueue } from "./requestQueue.js";

const IS_SOURCE = import.meta.url.endsWith(".ts");
const ENTRY = new URL(IS_SOURCE ? "./worker.ts" : "./worker.js", import.meta.url);
/** A thread that does not end by then when asked (a plugin does not return) is ended by force. */
const CLOSE_PATIENCE_MS = 2_000;

export class RingThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #requests: RequestQueue;

  /** Throws `RF_ARGUMENT` for plugin data that cannot be handed over. */
  constructor(
    config: SessionConfig,
    onEvent: (event: SessionEvent) => void,
    onEnd: (error: Error | undefined) => void,
  ) {
    const shared = Backlog.memory();
    const backlog = new Backlog(shared, config.eventBytes_max);
    settleCollector(config.realtime === "process");
    this.#worker = startWorker({ config, backlog: shared });
    this.#requests = new RequestQueue((requests, transfer) => this.#worker.postMessage(requests, transfer));
    let failure: Error | undefined;
    this.#worker.on("message", ({ events, bytes }: PostedEvents) => {
      for (const posted of events) unpackEvent(posted, (event) => deliver(event, onEvent));
      backlog.take(bytes);
    });
    this.#worker.on("error", (cause: Error) => {
      failure = new RainfrontError("RF_INTERNAL", `the ring's thread broke down: ${cause.message}`, { cause });
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", () => {
        resolve();
        onEnd(failure);
      });
    });
  }

  /** All of one turn of the event loop go in one message. */
  post(request: SessionRequest): void {
    if (this.#requests.isEmpty) queueMicrotask(() => this.#requests.flush());
    this.#requests.add(request);
  }

  /** Asks the thread to end. */
  close(): void {
    this.post({ type: "close" });
    const patience = setTimeout(() => void this.#worker.terminate(), CLOSE_PATIENCE_MS);
    void this.#exited.then(() => clearTimeout(patience));
  }

  /** Resolves when the thread has ended. */
  get exited(): Promise<void> {
    return this.#exited;
  }
}

/** A listener that throws is its program's failure, as always, but must not cost the events behind it. */
function deliver(event: SessionEvent, onEvent: (event: SessionEvent) => void): void {
  try {
    onEvent(event);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

function startWorker(workerData: WorkerData): Worker {
  const options = { workerData, name: "rainfront-ring" };
  // The loader that lets tests run the source does not follow into threads by itself.
  const loader = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(ENTRY.href)})));`;
  try {
    return IS_SOURCE ? new Worker(loader, { ...options, eval: true }) : new Worker(ENTRY, options);
  } catch (cause) {
    if (!(cause instanceof DOMException && cause.name === "DataCloneError")) throw cause;
    throw new RainfrontError("RF_ARGUMENT", `plugin.data is not plain data: ${cause.message}`, {
      fix: "give plugin.data without functions and sockets",
      cause,
    });
  }
}
