// What simulated users send: bytes that say who sent them, in which life and as which of its messages, so that a checker
// needs nothing else to notice what is lost, doubled, invented or damaged.

export interface PayloadId {
  readonly nodeId: number;
  readonly life: number;
  readonly number: number;
}

const HEAD_BYTES = 14;
const MAGIC = 0x7261;

export function makePayload(id: PayloadId, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(HEAD_BYTES, length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, MAGIC);
  view.setUint16(2, id.nodeId);
  view.setUint16(4, id.life);
  view.setUint32(6, id.number);
  view.setUint32(10, bytes.length);
  bytes.fill(filler(id), HEAD_BYTES);
  return bytes;
}

/** Undefined: nobody made this. */
export function readPayload(bytes: Uint8Array): PayloadId | undefined {
  if (bytes.length < HEAD_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0) !== MAGIC || view.getUint32(10) !== bytes.length) return undefined;
  const id = { nodeId: view.getUint16(2), life: view.getUint16(4), number: view.getUint32(6) };
  const wanted = filler(id);
  for (let i = HEAD_BYTES; i < bytes.length; i++) if (bytes[i] !== wanted) return undefined;
  return id;
}

export function nameOf(id: PayloadId): string {
  return `${id.nodeId}.${id.life}#${id.number}`;
}

function filler(id: PayloadId): number {
  return (id.nodeId * 31 + id.life * 17 + id.number) & 0xff;
}
