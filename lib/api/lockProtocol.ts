// What is said over the control socket about locks, and what the daemon must provide for it. A lock lives as long as its
// connection: `lock` is answered when it is granted (or refused), the daemon then says `held` once a second (while the client
// reads what was said) and `lost` at most once; `unlock` gives the lock back, and hanging up does too. Used by both ends.

import { z } from "zod";

/** A daemon that says nothing for so long is taken for gone, and its locks for lost. */
export const LOCK_SILENCE_MS = 3000;
export const LOCK_HELD_INTERVAL_MS = 1000;
const DURATION_MS_MAX = 365 * 24 * 3600 * 1000;

const duration = z.number().min(0).max(DURATION_MS_MAX).optional();

export const lockParams = z.strictObject({
  name: z.string().regex(/^[\x21-\x7e]{1,64}$/, "not 1 to 64 printable ASCII characters without blanks"),
  /** Who asks, for people to read. */
  client: z.string().max(64).default(""),
  wait_ms: duration,
  ttl_ms: duration,
});
export type LockParams = z.infer<typeof lockParams>;

export const lockLostReasons = ["lease", "expired", "view"] as const;
export type LockLostReason = (typeof lockLostReasons)[number];

/** What becomes of a request: `granted`, then perhaps `lost`; or `refused`. Nothing comes after `release`. */
export type LockProviderEvent =
  | { readonly type: "granted"; readonly fence: bigint }
  | { readonly type: "lost"; readonly reason: LockLostReason }
  | { readonly type: "refused"; readonly reason: "timeout" | "limit" | "leaving" };

/** The daemon's locks, as the control socket needs them. */
export interface LockProvider {
  /** The request's number, with which it is released. `onEvent` is not called before this returns. */
  acquire(params: LockParams, onEvent: (event: LockProviderEvent) => void): number;
  /** Gives the lock back, or stops waiting for it; resolves when others can have it. A number that is over does nothing. */
  release(request: number): Promise<void>;
  list(): readonly LockStatus[] | Promise<readonly LockStatus[]>;
  /** For the log: the client that has this lock reads nothing any more, or reads again. */
  stalled?(params: LockParams, isStalled: boolean): void;
}

export interface LockStatus {
  readonly name: string;
  /** Null while nobody may have it: the group has no majority. */
  readonly holder: { readonly id: number; readonly name: string } | null;
  /** Decimal: it does not fit a JavaScript number. */
  readonly fence: string;
  readonly waiters: number;
  /** Who holds it, if that is a client of this node. */
  readonly client: string | null;
}

const fence = z.string().regex(/^\d{1,20}$/);

export const lockResult = z.looseObject({ name: z.string(), fence });
export const locksResult = z.looseObject({
  locks: z.array(
    z.looseObject({
      name: z.string(),
      holder: z.looseObject({ id: z.int(), name: z.string() }).nullable(),
      fence,
      waiters: z.int(),
      client: z.string().nullable(),
    }),
  ),
});

/** What the daemon says unasked. Loose, and without a list of reasons: it may be of a newer version. */
export const lockEvent = z.discriminatedUnion("event", [
  z.looseObject({ event: z.literal("held") }),
  z.looseObject({ event: z.literal("lost"), reason: z.string() }),
]);
