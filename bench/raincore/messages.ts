// What a member multicasts, and how it checks what it delivers: content, order of each sender, and a hash over the sequence.
// Used by memberProgram.ts; corosync/cpg_client.c has the same layout and arithmetic.

export const HEADER_BYTES = 24;
/** Of an end message. */
export const END_BYTES = 64;

/** Little-endian: kind u32, run u32, sender u32, number u32, sent_us u64. */
export interface Header {
  readonly kind: "data" | "end";
  readonly run: number;
  readonly sender: number;
  /** Of a data message, from 0; of an end message: how many data messages came before it. */
  readonly number: number;
  readonly sent_us: number;
}

const KINDS = { data: 1, end: 2 } as const;
const WORD = 2 ** 32;

export class MessageWriter {
  private readonly sender: number;
  private readonly body: Buffer;

  constructor(sender: number, bytes: number) {
    this.sender = sender;
    this.body = bodyOf(sender, Math.max(bytes, END_BYTES));
  }

  write(header: Omit<Header, "sender">, bytes: number): Buffer {
    const message = Buffer.allocUnsafe(bytes);
    message.writeUInt32LE(KINDS[header.kind], 0);
    message.writeUInt32LE(header.run, 4);
    message.writeUInt32LE(this.sender, 8);
    message.writeUInt32LE(header.number, 12);
    message.writeUInt32LE(header.sent_us % WORD, 16);
    message.writeUInt32LE(Math.floor(header.sent_us / WORD), 20);
    this.body.copy(message, HEADER_BYTES, 0, bytes - HEADER_BYTES);
    return message;
  }
}

export function readHeader(message: Buffer): Header | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  return {
    kind: message.readUInt32LE(0) === KINDS.end ? "end" : "data",
    run: message.readUInt32LE(4),
    sender: message.readUInt32LE(8),
    number: message.readUInt32LE(12),
    sent_us: message.readUInt32LE(16) + message.readUInt32LE(20) * WORD,
  };
}

/** Follows the deliveries of one run. */
export class SequenceCheck {
  wrong = 0;
  private readonly bytes: number;
  private readonly next = new Map<number, number>();
  private readonly bodies = new Map<number, Buffer>();
  private low = 0x811c9dc5;
  private high = 0x811c9dc5;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  deliver(header: Header, message: Buffer): void {
    this.mix(KINDS[header.kind]);
    this.mix(header.sender);
    this.mix(header.number);
    const expected = this.next.get(header.sender) ?? 0;
    if (header.number !== expected || !this.hasContent(header, message)) this.wrong++;
    if (header.kind === "data") this.next.set(header.sender, expected + 1);
  }

  get hash(): string {
    return [this.low, this.high].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  private hasContent(header: Header, message: Buffer): boolean {
    if (header.kind === "end") return message.length === END_BYTES;
    let body = this.bodies.get(header.sender);
    if (body === undefined) {
      body = bodyOf(header.sender, this.bytes);
      this.bodies.set(header.sender, body);
    }
    return message.length === this.bytes && message.compare(body, 0, this.bytes - HEADER_BYTES, HEADER_BYTES) === 0;
  }

  private mix(value: number): void {
    this.low = Math.imul(this.low ^ value, 0x01000193);
    this.high = (Math.imul(this.high ^ value, 0x85ebca6b) + 1) | 0;
  }
}

function bodyOf(sender: number, bytes: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + sender * 17) & 0xff));
}
