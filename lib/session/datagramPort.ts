// The sockets, the clock and the timer of a ring's thread, in one object with one call-back. Two implementations: the addon's
// (datagramPortNative.ts), and node's own sockets for machines without it (datagramPortNode.ts). IPv4. Opened by datagramPortOpen.ts.

export interface DatagramPortOptions {
  /** Local addresses, one socket each; the index is the path. */
  readonly addresses: readonly string[];
  /** The UDP port, here and at the peers. */
  readonly port: number;
  /** An address on a path. Datagrams go to, and are known to come from, the index in this list. */
  readonly peers: readonly PeerOnPath[];
}

export interface PeerOnPath {
  readonly path: number;
  readonly address: string;
}

/** Words of one datagram in `arrivals`, and what they are. */
export const ARRIVAL_WORDS = 4;
export const ARRIVAL_OFFSET = 0;
export const ARRIVAL_LENGTH = 1;
export const ARRIVAL_PATH = 2;
/** -1 when the datagram came from no peer's address. */
export const ARRIVAL_PEER = 3;

/** `count` datagrams have come, the first ones in `arrivals`; whether the time that was set has come. Datagrams that came before that time
 * are heard first. Everything is overwritten after the call. */
export type OnWake = (count: number, timerDue: boolean) => void;

export interface DatagramPort {
  readonly incoming: Buffer;
  readonly arrivals: Int32Array;
  /** Where datagrams are laid out to be sent, at offsets from `reserve`. */
  readonly outgoing: Buffer;
  listen(onWake: OnWake): void;
  /** Room for one datagram of at most that size, until `flush`; may flush to make room. */
  reserve(bytes: number): number;
  /** Queues a datagram; the next `flush` sends it. */
  send(peer: number, offset: number, length: number): void;
  /** Sends what is queued. What cannot be sent is counted and given up. */
  flush(): void;
  /** The clock of `setTimer`; only goes forward, from an arbitrary start. */
  now_ms(): number;
  /** Replaces the time that was set before; Infinity = never. */
  setTimer(at_ms: number): void;
  counters(): DatagramCounters;
  /** May be called from `onWake`, and again. Nothing else may be called after it but `now_ms`. */
  close(): void;
}

/** See native/datagram/counters.h for what they mean. What an implementation cannot know stays 0. */
export const DATAGRAM_COUNTERS = [
  "datagrams_in",
  "datagrams_out",
  "wakes",
  "merged_in",
  "merged_out",
  "merge_refused",
  "receive_overflow",
  "receive_failed",
  "send_buffer_full",
  "send_no_memory",
  "send_too_big",
  "send_refused",
  "send_unreachable",
  "send_denied",
  "send_failed",
] as const;

/** Datagrams by what became of them; docs/counters.md explains the names. */
export type DatagramCounters = Readonly<Record<(typeof DATAGRAM_COUNTERS)[number], number>>;
