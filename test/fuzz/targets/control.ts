// Lines of the control socket: what a stranger with access may send to the daemon, and what a daemon may answer.
import {
  answerSchema,
  type ControlRequest,
  REQUEST_BYTES_MAX,
  requestSchema,
  resultSchemas,
} from "../../../lib/api/controlProtocol.js";
import { codecTarget, type Target } from "../target.js";

const COVERS = /\/lib\/(api|config)\/|\/zod\/v4\/core\/(schemas|checks|parse|util)\./;
const TEXT = new TextEncoder();
const WORDS = [
  '"id":',
  '"method":',
  '"params":',
  '"status"',
  '"move"',
  '"down"',
  '"vip":',
  '"node":',
  "null",
  "{}",
  "[]",
];
const MORE_WORDS = [
  "1e999",
  "-1",
  '"__proto__":',
  "1.5",
  "65536",
  '"255.255.255.255"',
  '"\\u0000"',
  '"result":',
  '"error":',
];
const DICTIONARY = [...WORDS, ...MORE_WORDS].map((word) => TEXT.encode(word));
// The schemas keep what they were asked before and write long explanations.
const LIMITS = { countedBytes: 256 * 1024, heapBytes: 2 * 1024 * 1024 } as const;

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"));
  } catch {
    return undefined;
  }
}

/** What JSON can say of it: -0 is 0 there, and a number too large to be one is null. */
function asSaid<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

export const controlRequest: Target = codecTarget<ControlRequest>({
  name: "control-request",
  covers: COVERS,
  bytesMax: Math.min(2048, REQUEST_BYTES_MAX),
  dictionary: DICTIONARY,
  limits: LIMITS,
  values: [
    { id: 1, method: "status", params: {} },
    { id: "x", method: "move", params: { vip: "192.0.2.1", node: 2 } },
    { id: -1, method: "down", params: {} },
    { id: 2, method: "join", params: {} },
    { id: 3, method: "reloadKeys", params: {} },
    { id: 4, method: "locks", params: {} },
    { id: 5, method: "lock", params: { name: "a/b", client: "me", wait_ms: 5, ttl_ms: 0.5 } },
    { id: 6, method: "unlock", params: {} },
  ],
  encode: (request) => TEXT.encode(JSON.stringify(request)),
  decode(bytes) {
    const result = requestSchema.safeParse(parsed(bytes));
    return result.success ? asSaid(result.data) : undefined;
  },
  kindOf: (request) => request.method,
});

const STATUS = {
  version: "1.2.3",
  pid: 7,
  uptime_s: 1.5,
  backend: "af_packet",
  cluster: "front",
  node: { id: 1, name: "a" },
  state: "member",
  epoch: 3,
  seq: 4,
  members: [{ id: 1, name: "a", ready: true }],
  lease: { valid: true, remaining_ms: 12.5 },
  quorum: { policy: "available", quorate: true },
  bound_ms: 150,
  vips: [
    { address: "192.0.2.1", segment: "external", currentHost: 1, preferredHost: 0, persistence: 0, answering: true },
  ],
  ports: { external: { received: 1 } },
  ring: { sent: 2 },
};

type Answer = { readonly answer: unknown; readonly result: unknown };

export const controlAnswer: Target = codecTarget<Answer>({
  name: "control-answer",
  covers: COVERS,
  bytesMax: 4096,
  dictionary: DICTIONARY,
  limits: LIMITS,
  values: [
    { answer: { id: 1, result: STATUS }, result: undefined },
    { answer: { id: null, error: { code: "RF_USAGE", message: "no", fix: "yes" } }, result: undefined },
    { answer: { id: "x", result: {} }, result: undefined },
    { answer: { id: 2, result: { pid: 3 } }, result: undefined },
  ],
  encode: ({ answer }) => TEXT.encode(JSON.stringify(answer)),
  decode(bytes) {
    const answer = answerSchema.safeParse(parsed(bytes));
    if (!answer.success) return undefined;
    const results = Object.entries(resultSchemas).map(([method, schema]) => {
      return [method, "result" in answer.data ? schema.safeParse(answer.data.result).success : false];
    });
    return { answer: asSaid(answer.data), result: Object.fromEntries(results) };
  },
  kindOf: ({ result }) => JSON.stringify(result),
});
