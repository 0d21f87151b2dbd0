// What an event takes while it waits for the host, about, and rather too much than too little: a limit that counts too little is none.
// Used by eventQueue.ts.
import type { SessionEvent } from "./protocol.js";

/** What any event takes beside what it holds. */
const EVENT_BYTES = 256;
/** Of a view. */
const MEMBER_BYTES = 64;
/** A value in an array or an object, and what its own object takes. */
const VALUE_BYTES = 16;
const OBJECT_BYTES = 48;
const CHARACTER_BYTES = 2;
/** No more than so many values of one event are looked at; what is beyond is taken to be like these. */
const VALUES_MAX = 4096;

/** Of every event but a delivery, whose bytes go in batches. */
export function eventBytes(event: Exclude<SessionEvent, { readonly type: "delivery" }>): number {
  switch (event.type) {
    case "message":
    case "carriage":
      return EVENT_BYTES + (event.bytes?.length ?? 0);
    case "view":
      return EVENT_BYTES + event.view.members.length * MEMBER_BYTES;
    case "log":
      return EVENT_BYTES + plainBytes(event.fields);
    case "answer":
      return EVENT_BYTES + plainBytes(event.result);
    case "plugin":
      return EVENT_BYTES + plainBytes(event.event);
    case "failed":
    case "refused":
      return EVENT_BYTES + plainBytes(event.error);
    case "open":
    case "state":
    case "lease":
    case "settled":
    case "granted":
    case "lost":
    case "released":
      return EVENT_BYTES;
    default:
      return event satisfies never;
  }
}

/** Of plain data, at a bounded cost: one that is deep, wide or in circles is estimated by its beginning. */
export function plainBytes(data: unknown): number {
  const queue: unknown[] = [data];
  const seen = new Set<object>();
  let bytes = 0;
  let known = 1;
  let looked = 0;
  for (; looked < queue.length; looked++) {
    const value = queue[looked];
    bytes += shallowBytes(value);
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    const { count, some } = partsOf(value, VALUES_MAX - queue.length);
    known += count;
    for (const part of some) queue.push(part);
  }
  return Math.ceil((bytes * known) / looked);
}

/** Without what it refers to. */
function shallowBytes(value: unknown): number {
  switch (typeof value) {
    case "string":
      return VALUE_BYTES + value.length * CHARACTER_BYTES;
    case "bigint":
      return OBJECT_BYTES;
    case "object":
      if (value === null) return VALUE_BYTES;
      if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return OBJECT_BYTES + value.byteLength;
      return OBJECT_BYTES;
    default:
      return VALUE_BYTES;
  }
}

/** How many values it refers to, and the first of them: at most `max`. Names of properties are values, too. */
function partsOf(value: object, max: number): { readonly count: number; readonly some: readonly unknown[] } {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return { count: 0, some: [] };
  if (Array.isArray(value)) return { count: value.length, some: value.slice(0, Math.max(0, max)) };
  if (value instanceof Set) return { count: value.size, some: first(value.values(), max) };
  if (value instanceof Map) return { count: 2 * value.size, some: first(value.entries(), max / 2).flat() };
  const names = Object.keys(value);
  const some = first(names, max / 2).flatMap((name) => [name, (value as Record<string, unknown>)[name]]);
  return { count: 2 * names.length, some };
}

function first<T>(values: Iterable<T>, max: number): T[] {
  const some: T[] = [];
  for (const value of values) {
    if (some.length >= Math.floor(max)) break;
    some.push(value);
  }
  return some;
}
