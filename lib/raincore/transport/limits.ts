// The transport's bounds and times. Both ends reckon with the same limits, so that an honest sender never meets a
// receiver's. Used by every file of this folder.
import type { Timers } from "../timers.js";
import { TOKEN_BYTES_MAX } from "../token.js";

/** Of one message. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** Every part but the last carries at least so much; with the message's limit it bounds the number of parts. */
export const PART_BYTES_MIN = 512;
export const PARTS_MAX = MESSAGE_BYTES_MAX / PART_BYTES_MIN;
/** In front of a part's own bytes; see packets.ts. */
export const PART_HEAD_BYTES = 27;

/** A sender starts no message so far behind its oldest unsettled one; a receiver remembers so many as completed. */
export const ID_WINDOW = 256;
/** A sender sends no part so far behind the first one that is missing, so one bitmap tells all there is to tell. */
export const SPAN_PARTS = 2048;
/** A receiver says what it has after so many new parts. */
export const HAVE_EVERY_PARTS = 8;

/** Bulk messages to one peer that are under way together. The bytes of all of them stay within MESSAGE_BYTES_MAX. */
export const ACTIVE_MAX = 8;
/** What may wait at a sender, for all peers together. */
export const QUEUED_BYTES_MAX = 4 * MESSAGE_BYTES_MAX;
export const QUEUED_MESSAGES_MAX = 4096;

/** What one peer's unfinished bulk messages may come to. */
export const PEER_BYTES_MAX = MESSAGE_BYTES_MAX + 256 * 1024;
/** And those of all peers. */
export const TOTAL_BYTES_MAX = 4 * MESSAGE_BYTES_MAX;
/** Lives of one peer that have been replaced lately, of which parts may still be under way. */
export const FORMER_LIVES_MAX = 4;
/** Held for an unfinished message besides its bytes. */
export const MESSAGE_OVERHEAD_BYTES = 8 * 1024;
/** Memory for parts is taken in pages of about this size, each when its first part arrives. */
export const PAGE_BYTES = 64 * 1024;
/** What is not longer has all of its memory in one page: a token need not be put together again. */
export const WHOLE_BYTES_MAX = TOKEN_BYTES_MAX;

/** Packets of bulk in one step, for all peers together. */
export const BURST_PACKETS = 32;
/** Packets of one message in its turn. */
export const TURN_PACKETS = 4;
export const WINDOW_MIN_PACKETS = 4;
export const WINDOW_START_PACKETS = 16;
export const WINDOW_MAX_PACKETS = 1024;
/** A token does not wait for a window to grow, but it must not overrun a socket's usual buffer either. */
export const TOKEN_WINDOW_PACKETS = 64;
/** A part is taken for lost when one that was sent so much later has arrived. */
export const REORDER_PACKETS = 8;

/** A path that left so many sends unanswered, while another path answered, is down. */
export const PATH_FAILURES_MAX = 3;
/** A path that carries nothing is tried with a duplicate at most so often. */
export const EXPLORE_MS = 1000;

/** A bulk message that is not through by then has failed, unless its sender said otherwise. */
export const BULK_FAIL_MS = 60_000;
/** So many timeouts without any progress, and `stall_ms` without any, and it has failed before that. */
export const STALL_TIMEOUTS = 4;

/** All in units of the ring's u. */
export interface TransportTimes {
  /** A hand-over and its parts: resent after srtt + 4 rttvar within these bounds, doubling. Nothing measured yet: the maximum. */
  readonly tokenResendMin_ms: number;
  readonly tokenResendMax_ms: number;
  readonly bulkResendMin_ms: number;
  readonly bulkResendStart_ms: number;
  /** Doubling ends here. */
  readonly resendMax_ms: number;
  /** A receiver does not wait longer than this for more parts before it says what it has. */
  readonly haveDelay_ms: number;
  /** A bulk message without progress fails after this. */
  readonly stall_ms: number;
  /** An unfinished message to which no part was added for so long is thrown away, and nothing is under way for so long. */
  readonly idle_ms: number;
  /** Between two bursts, if no answer calls for the next one earlier. */
  readonly pace_ms: number;
}

export function transportTimes(timers: Timers): TransportTimes {
  const u = timers.unit_ms;
  return {
    tokenResendMin_ms: u / 2,
    tokenResendMax_ms: u,
    bulkResendMin_ms: u,
    bulkResendStart_ms: 2 * u,
    resendMax_ms: 8 * u,
    haveDelay_ms: u / 8,
    stall_ms: 2 * timers.lease_ms,
    idle_ms: 4 * timers.lease_ms,
    pace_ms: u / 32,
  };
}
