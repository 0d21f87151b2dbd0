// The ring's thread: a Session, its requests and its events. Started by ringThread.ts.
import { parentPort, workerData } from "node:worker_threads";
import { Backlog } from "./backlog.js";
import { EventQueue } from "./eventQueue.js";
import { coded } from "./failures.js";
import type { PostedRequest, SessionEvent, WorkerData } from "./protocol.js";
import { unpackRequest } from "./requestQueue.js";
import { Session } from "./session.js";

const port = parentPort;
if (port === null) throw new Error("this is the ring's thread, started by Raincore");
const { config, backlog: shared } = workerData as WorkerData;
const backlog = new Backlog(shared, config.eventBytes_max);
const events = new EventQueue(config.nodeId, (posted, transfer) => {
  port.postMessage(posted, transfer);
  if (!isEnding) backlog.post(posted.bytes);
});
let session: Session | undefined;
let isStarted = false;
let isEnding = false;

/** Events of one turn of the loop go in one message. */
function emit(event: SessionEvent): void {
  if (events.isEmpty) setImmediate(() => events.flush());
  events.add(event);
}

/** Not by itself when nothing is left to do: a plugin may have timers. */
function end(): void {
  isEnding = true;
  try {
    session?.close();
  } finally {
    events.flush();
    process.exit();
  }
}

/** What it was about to do is half done: to the others it has died, rather than acting on what may be wrong. */
function fail(error: unknown): void {
  emit({ type: "failed", error: coded(error) });
  end();
}

function start(): void {
  if (isStarted) return;
  isStarted = true;
  session?.start();
}

function onRequests(posted: readonly PostedRequest[]): void {
  start();
  for (const one of posted) {
    unpackRequest(one, (request) => {
      if (request.type === "close") end();
      else session?.handle(request);
    });
  }
  session?.endRequests();
}

process.on("uncaughtException", fail);
try {
  session = await Session.open(config, emit);
  // The channel has its own copy.
  for (const key of config.clusterKeys) key.fill(0);
  port.on("message", onRequests);
  emit({ type: "open" });
  events.flush();
  // In a message of its own, so that whoever waits for the start can listen to all that follows.
  setImmediate(start);
} catch (error) {
  fail(error);
}
