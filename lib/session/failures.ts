// What a session refuses and how that reaches its caller: errors do not cross from thread to thread whole. Used by both ends.
import { isErrorCode, RainfrontError } from "../errors.js";
import type { CodedError } from "./protocol.js";

/** What is left of an error on its way to the other thread. */
export function coded(error: unknown): CodedError {
  if (error instanceof RainfrontError) return { code: error.code, message: error.message, fix: error.fix };
  if (!(error instanceof Error)) return { code: "RF_INTERNAL", message: String(error), fix: undefined };
  // The addon's errors have our codes, too.
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && isErrorCode(code)
    ? { code, message: error.message, fix: undefined }
    : { code: "RF_INTERNAL", message: error.stack ?? error.message, fix: undefined };
}

export function errorFrom({ code, message, fix }: CodedError): RainfrontError {
  const known = isErrorCode(code) ? code : "RF_INTERNAL";
  return new RainfrontError(known, message, fix === undefined ? {} : { fix });
}

export function tooLarge(bytes: number, bytes_max: number): RainfrontError {
  return new RainfrontError("RF_MESSAGE_SIZE", `${bytes} bytes are more than ${bytes_max}`, {
    fix: "split the message",
  });
}

/** What waits already. */
interface Waiting {
  readonly messages: number;
  readonly bytes: number;
}

export function multicastFull({ messages, bytes }: Waiting): RainfrontError {
  return new RainfrontError("RF_MULTICAST_FULL", `${messages} messages (${bytes} bytes) are under way already`, {
    fix: "wait for `drain`, or for an earlier one to be delivered",
  });
}

export function sendFull({ messages, bytes }: Waiting): RainfrontError {
  return new RainfrontError("RF_SEND_FULL", `${messages} direct messages (${bytes} bytes) are under way already`, {
    fix: "wait for `drain`, or for an earlier one to be settled",
  });
}

export function requestsFull(requests: number): RainfrontError {
  return new RainfrontError("RF_REQUESTS_FULL", `${requests} requests (locks, updates, calls) wait already`, {
    fix: "wait for earlier ones to be settled, and ask for fewer at a time",
  });
}

export function notMember(): RainfrontError {
  return new RainfrontError("RF_NOT_MEMBER", "this node has left the group", { fix: "call join()" });
}

export function notDelivered(outcome: "unknown" | "unsent"): RainfrontError {
  return outcome === "unsent"
    ? new RainfrontError("RF_NOT_DELIVERED", "the message was not sent", {
        fix: "send it again; if this node is in no group, after joining",
      })
    : new RainfrontError("RF_NOT_DELIVERED", "it is not known whether the message was delivered", {
        fix: "send it again if the receivers can tell doubles",
      });
}
