// The ring's thread: a Session, its requests and its events. Started by raincore.ts.
import { parentPort, workerData } from "node:worker_threads";
import { RainfrontError } from "../errors.js";
import type { CodedError, SessionConfig, SessionEvent, SessionRequest } from "./protocol.js";
import { Session } from "./session.js";

const port = parentPort;
if (port === null) throw new Error("this is the ring's thread, started by Raincore");

/** Events of one turn of the loop go in one message. */
let pending: SessionEvent[] = [];

function emit(event: SessionEvent): void {
  if (pending.length === 0) setImmediate(flush);
  pending.push(event);
}

function flush(): void {
  const events = pending;
  pending = [];
  if (events.length > 0) port?.postMessage(events);
}

function coded(error: unknown): CodedError {
  if (error instanceof RainfrontError) return { code: error.code, message: error.message, fix: error.fix };
  return {
    code: "RF_INTERNAL",
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    fix: undefined,
  };
}

function end(): void {
  flush();
  port?.close();
}

try {
  const session = await Session.open(workerData as SessionConfig, emit);
  port.on("message", (requests: readonly SessionRequest[]) => {
    for (const request of requests) {
      if (request.type !== "close") session.handle(request, coded);
      else {
        session.close();
        emit({ type: "closed" });
        end();
      }
    }
  });
  emit({ type: "open" });
  flush();
  // In a message of its own, so that whoever waits for the start can listen to all that follows.
  setImmediate(() => session.start());
} catch (error) {
  emit({ type: "failed", error: coded(error) });
  end();
}
