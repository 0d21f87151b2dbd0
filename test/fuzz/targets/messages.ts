// What a node decodes after the secure channel has opened a datagram: any message, and a token with what it carries.
import { decode, encode, type Message } from "../../../lib/raincore/messages.js";
import { compareTokens, groupOf, successorOf, TOKEN_BYTES_MAX, type Token } from "../../../lib/raincore/token.js";
import { decodeTable } from "../../../lib/vip/codec.js";
import { codecTarget, requireSame, sizeClass, type Target, Violation } from "../target.js";
import { MESSAGES, TOKEN_MESSAGES } from "./samples.js";

const COVERS = /\/lib\/raincore\/(messages|wire|token|transport\/packets)\./;

export const messages: Target = codecTarget<Message>({
  name: "messages",
  covers: COVERS,
  bytesMax: 4096,
  values: MESSAGES,
  encode,
  decode(bytes) {
    const result = decode(bytes);
    return result.ok ? result.message : undefined;
  },
  kindOf: (message) => message.type,
});

/** A token from another node is looked at in many ways before anything of it is believed. */
export const token: Target = {
  name: "token",
  covers: /\/lib\/(raincore\/(messages|wire|token)|vip\/codec)\./,
  bytesMax: TOKEN_BYTES_MAX,
  seeds: () => TOKEN_MESSAGES.map((message) => encode(message)),
  decode(input) {
    const result = decode(input);
    if (!result.ok || result.message.type !== "token") return undefined;
    return {
      token: result.message.token,
      tables: result.message.token.carriages.map(({ bytes }) => decodeTable(bytes)),
    };
  },
  check(answer) {
    if (answer === undefined) return "refused";
    const { token, tables } = answer as { token: Token; tables: readonly unknown[] };
    const again = decode(encode({ type: "token", token }));
    requireSame(again.ok && again.message, { type: "token", token });
    checkRing(token);
    return `members ${sizeClass(token.members.length)}, tables ${tables.filter((table) => table !== undefined).length}`;
  },
};

function checkRing(token: Token): void {
  if (compareTokens(token, token) !== 0) throw new Violation("is older or newer than itself");
  const nodeIds = groupOf(token).nodeIds;
  for (const nodeId of nodeIds) {
    const successor = successorOf(token, nodeId);
    const expected = nodeIds[(nodeIds.indexOf(nodeId) + 1) % nodeIds.length];
    if (successor?.nodeId !== (expected === nodeId ? undefined : expected)) throw new Violation("has no ring order");
  }
}
