// Where everything lies in a sealed datagram. Used by secureChannel.ts, which has checked the bounds.
//
// Words are read by DataView: on a quiet ring this code runs cold, interpreted, and a Buffer's read methods cost several times as much then.

// Header: magic u16, version u8, kind and padding u8, cluster tag 4, key u16, sender u16, receiver u16, salt u16, incarnation u64, counter u64.
export const MAGIC = 0x5246;
export const VERSION = 2;
export const OFFSET_KIND = 3;
export const OFFSET_TAG = 4;
export const OFFSET_KEY = 8;
export const OFFSET_SENDER = 10;
export const OFFSET_RECEIVER = 12;
export const OFFSET_SALT = 14;
export const OFFSET_INCARNATION = 16;
export const OFFSET_COUNTER = 24;
export const HEADER_BYTES = 32;
export const AUTH_TAG_BYTES = 16;

// The kind is two bits, the number of padding bytes six.
export const KIND_MESSAGE = 0;
export const KIND_HANDSHAKE = 1;

// A handshake's body: incarnation u64, nonce 12, nonce 12.
export const NONCE_BYTES = 12;
export const OFFSET_ECHO = 8;
export const OFFSET_CHALLENGE = OFFSET_ECHO + NONCE_BYTES;
/** Shorter messages are padded to that, so that a handshake is never larger than what it answers. */
export const BODY_BYTES_MIN = OFFSET_CHALLENGE + NONCE_BYTES;

/** Bytes that sealing adds to a message of 32 bytes or more. */
export const SEAL_OVERHEAD_BYTES = HEADER_BYTES + AUTH_TAG_BYTES;
/** The smallest datagram there is: a handshake, or a message of at most 32 bytes. */
export const SEALED_BYTES_MIN = SEAL_OVERHEAD_BYTES + BODY_BYTES_MIN;

/** One run of a node's process, as its datagrams name it. */
export interface Life {
  readonly incarnationHigh: number;
  readonly incarnationLow: number;
  readonly salt: number;
}

/** The size of the datagram that sealing such a message makes. */
export function sealedBytes(plainBytes: number): number {
  return SEAL_OVERHEAD_BYTES + Math.max(plainBytes, BODY_BYTES_MIN);
}

/** What a datagram's header says, nothing of it believed. One object is used again for every datagram. */
export class Head implements Life {
  kind = 0;
  key = 0;
  from = 0;
  to = 0;
  salt = 0;
  incarnationHigh = 0;
  incarnationLow = 0;
  counterHigh = 0;
  counterLow = 0;

  /** Why it is not a datagram of that cluster, if it is not. */
  read(view: DataView, at: number, clusterTag: number): "foreign_cluster" | "version" | undefined {
    const first = view.getUint32(at);
    if (first >>> 16 !== MAGIC) return "foreign_cluster";
    if (((first >>> 8) & 0xff) !== VERSION) return "version";
    if (view.getUint32(at + OFFSET_TAG) !== clusterTag) return "foreign_cluster";
    const keyAndFrom = view.getUint32(at + OFFSET_KEY);
    const toAndSalt = view.getUint32(at + OFFSET_RECEIVER);
    this.kind = first & 0xff;
    this.key = keyAndFrom >>> 16;
    this.from = keyAndFrom & 0xffff;
    this.to = toAndSalt >>> 16;
    this.salt = toAndSalt & 0xffff;
    this.incarnationHigh = view.getUint32(at + OFFSET_INCARNATION);
    this.incarnationLow = view.getUint32(at + OFFSET_INCARNATION + 4);
    this.counterHigh = view.getUint32(at + OFFSET_COUNTER);
    this.counterLow = view.getUint32(at + OFFSET_COUNTER + 4);
    return undefined;
  }
}

/** A DataView of the buffer that was asked for last: as a rule it is the same slab every time. */
export class ViewCache {
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));

  of(bytes: Uint8Array): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    return this.#view;
  }
}

export function isSameLife(a: Life | undefined, b: Life): boolean {
  return (
    a !== undefined &&
    a.incarnationLow === b.incarnationLow &&
    a.incarnationHigh === b.incarnationHigh &&
    a.salt === b.salt
  );
}

export function isZero(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (bytes[i] !== 0) return false;
  return true;
}
