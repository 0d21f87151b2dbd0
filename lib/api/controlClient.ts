// The commands' end of the control socket: one connection, one request, one answer. Called by lib/cli and the lab.

import { connect } from "node:net";
import { ERROR_CODES, type ErrorCode, RainfrontError } from "../errors.js";
import { lockOwner } from "./controlLock.js";
import {
  ANSWER_BYTES_MAX,
  answerSchema,
  type ControlMethod,
  type ControlRequest,
  type ControlResults,
  resultSchemas,
} from "./controlProtocol.js";

export interface CallOptions {
  /** For the whole call. Default 5000. */
  readonly timeout_ms?: number;
}

type ParamsOf<M extends ControlMethod> = Extract<ControlRequest, { method: M }>["params"];

/** Asks the daemon. Rejects with RF_NOT_RUNNING, RF_CONTROL_*, or with the error that the daemon answered. */
export async function callControl<M extends ControlMethod>(
  path: string,
  method: M,
  params: ParamsOf<M>,
  options: CallOptions = {},
): Promise<ControlResults[M]> {
  const line = await exchange(path, JSON.stringify({ id: 1, method, params }), options.timeout_ms ?? 5000);
  const answer = answerSchema.safeParse(parseJson(line, path));
  if (!answer.success) throw notUnderstood(path);
  if ("error" in answer.data) throw remoteError(answer.data.error as RemoteError);
  const result = resultSchemas[method].safeParse(answer.data.result);
  if (!result.success) throw notUnderstood(path);
  return result.data;
}

/** Whether a process listens on a socket, be it stopped or busy; a file left by a killed daemon refuses. */
export function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // EAGAIN: there is a listener, its queue is full.
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EAGAIN"));
  });
}

/** Resolves when nobody listens on the socket any more; rejects with RF_CONTROL_TIMEOUT. */
export async function waitUntilGone(path: string, timeout_ms: number): Promise<void> {
  const deadline_ms = performance.now() + timeout_ms;
  while (await isListening(path)) {
    if (performance.now() > deadline_ms) throw timedOut(path, timeout_ms);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Sends one line, resolves with the first line of the answer. */
function exchange(path: string, line: string, timeout_ms: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const socket = connect(path, () => socket.write(`${line}\n`));
    const finish = (outcome: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      outcome();
    };
    const timer = setTimeout(() => finish(() => reject(timedOut(path, timeout_ms))), timeout_ms);
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (chunk.includes(10)) {
        const text = Buffer.concat(chunks).toString("utf8");
        finish(() => resolve(text.slice(0, text.indexOf("\n"))));
      } else if (bytes > ANSWER_BYTES_MAX) finish(() => reject(notUnderstood(path)));
    });
    socket.on("end", () => finish(() => reject(hungUp(path))));
    socket.on("error", (error: NodeJS.ErrnoException) => finish(() => reject(connectError(path, error))));
  });
}

export interface RemoteError {
  readonly code: string;
  readonly message: string;
  readonly fix?: string | undefined;
}

export function remoteError(error: RemoteError): RainfrontError {
  // A newer daemon may have codes that this version does not know: then the code goes into the message.
  const known = ERROR_CODES.find((code) => code === error.code);
  const hints = error.fix === undefined ? {} : { fix: error.fix };
  return known === undefined
    ? new RainfrontError("RF_CONTROL_PROTOCOL", `${error.code}: ${error.message}`, hints)
    : new RainfrontError(known, error.message, hints);
}

export function parseJson(line: string, path: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw notUnderstood(path);
  }
}

export function connectError(path: string, error: NodeJS.ErrnoException): RainfrontError {
  const make = (code: ErrorCode, message: string, fix: string) =>
    new RainfrontError(code, message, { fix, cause: error });
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
    case "ECONNREFUSED":
      return make(
        "RF_NOT_RUNNING",
        `no rainfront daemon listens on ${path}`,
        "start it with: rainfront up --config FILE; or name its socket with --socket PATH or --config FILE",
      );
    case "EACCES":
    case "EPERM":
      return make("RF_CONTROL_DENIED", `${path} may not be opened`, "run the command as the user that runs the daemon");
    case "EPIPE":
    case "ECONNRESET":
      return hungUp(path);
    case "EAGAIN":
      return make("RF_CONTROL_BUSY", `the daemon behind ${path} takes no more connections`, "try again");
    default:
      return make(
        "RF_CONTROL_PROTOCOL",
        `${path}: ${error.message}`,
        "check that it is the socket of a rainfront daemon",
      );
  }
}

export function timedOut(path: string, timeout_ms: number): RainfrontError {
  const pid = lockOwner(path);
  const who = pid === undefined ? "the daemon" : `the daemon, pid ${pid},`;
  return new RainfrontError("RF_CONTROL_TIMEOUT", `${who} did not answer on ${path} within ${timeout_ms} ms`, {
    fix: "see its log, and whether it is stopped (kill -CONT wakes it)",
  });
}

export function hungUp(path: string): RainfrontError {
  return new RainfrontError("RF_CONTROL_PROTOCOL", `${path} was closed without an answer`, {
    fix: "see the daemon's log",
  });
}

export function notUnderstood(path: string): RainfrontError {
  return new RainfrontError("RF_CONTROL_PROTOCOL", `the answer on ${path} is not understood`, {
    fix: "use the command and the daemon of the same version",
  });
}
