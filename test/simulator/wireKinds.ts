// What a plaintext datagram is about, for faults that choose by content and for traces that people read.
import { decode } from "../../lib/raincore/messages.js";

/** Says that something arrived: a whole token, or parts of a larger message. */
export function isAck(plain: Uint8Array): boolean {
  const kind = kindOf(plain);
  return kind === "ack" || kind === "have";
}

function kindOf(plain: Uint8Array): string {
  const result = decode(plain);
  return result.ok ? result.message.type : result.cause;
}

/** One line. */
export function describeDatagram(plain: Uint8Array): string {
  const result = decode(plain);
  if (!result.ok) return `${result.cause} (${plain.length} bytes)`;
  return JSON.stringify(result.message, (_key, value: unknown) => {
    if (typeof value === "bigint") return Number(value);
    if (value instanceof Uint8Array) return `${value.length} bytes`;
    if (typeof value === "number") return Math.round(value * 100) / 100;
    return value;
  });
}

/** Of messages that may be such: a token (also a quiet one), a call, an answer, a part. */
const PROOF_CODES: ReadonlySet<number> = new Set([1, 11, 4, 5, 9]);

/** Others reckon a lease's end from when it was sent; a token that is too long for one datagram travels in parts. */
export function isLeaseProof(plain: Uint8Array): boolean {
  // Asked for every datagram.
  if (!PROOF_CODES.has(plain[0] ?? 0)) return false;
  const result = decode(plain);
  if (!result.ok) return false;
  const { message } = result;
  if (message.type === "part") return message.priority === "token";
  return message.type === "token" || message.type === "call" || message.type === "answer";
}
