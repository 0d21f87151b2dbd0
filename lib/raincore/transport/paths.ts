// The ways to every peer: which one is best, which are down, how long a round trip takes. One definition for hand-overs,
// 911 calls and parts. A path is judged by what asks for an answer; an answer comes back over the path of what it answers.
import { EXPLORE_MS, PATH_FAILURES_MAX } from "./limits.js";

/** How one way to a node is doing. */
export interface PathStatus {
  readonly nodeId: number;
  readonly path: number;
  readonly isUp: boolean;
  /** Smoothed; undefined until something was measured. */
  readonly roundTrip_ms: number | undefined;
  /** Sends that it left unanswered while another path answered, since its last answer. */
  readonly failures: number;
}

export interface PathBounds {
  readonly min_ms: number;
  readonly max_ms: number;
}

interface Path {
  isUp: boolean;
  failures: number;
  samples: number;
  smoothed_ms: number;
  variation_ms: number;
  /** Sends since the last answer, and the time of the first of them. */
  unanswered: number;
  unansweredSince_ms: number;
  used_ms: number;
}

interface Peer {
  readonly paths: readonly Path[];
  readonly all: readonly number[];
  best: number;
  up: readonly number[];
}

// An average over fewer round trips than this does not decide which of two paths is faster.
const SAMPLES_TO_COMPARE = 4;
// RFC 6298.
const SMOOTHING = 1 / 8;
const VARIATION_SMOOTHING = 1 / 4;
const VARIATIONS = 4;
const NO_PATH: Path = newPath();

export class PathBook {
  readonly #pathsOf: (to: number) => number;
  readonly #patience: PathBounds;
  readonly #count: (name: string) => void;
  readonly #peers = new Map<number, Peer>();

  /** A send is unanswered for good when an answer over another path comes later than `patience` allows. */
  constructor(pathsOf: (to: number) => number, patience: PathBounds, count: (name: string) => void) {
    this.#pathsOf = pathsOf;
    this.#patience = patience;
    this.#count = count;
  }

  best(to: number): number {
    return this.#peer(to).best;
  }

  /** The paths that a resend takes: all that are up; when that brought no answer either, or leaves no choice, all there are. */
  forResend(to: number, resends: number): readonly number[] {
    const peer = this.#peer(to);
    return resends > 1 || peer.up.length < 2 ? peer.all : peer.up;
  }

  all(to: number): readonly number[] {
    return this.#peer(to).all;
  }

  /** A path other than the best that carried nothing for a while, if there is one: it gets a duplicate. */
  toExplore(to: number, now_ms: number): number | undefined {
    const { paths, best } = this.#peer(to);
    let stalest: number | undefined;
    for (let path = 0; path < paths.length; path++) {
      const { used_ms } = paths[path] ?? NO_PATH;
      if (path === best || now_ms - used_ms < EXPLORE_MS) continue;
      if (stalest === undefined || used_ms < (paths[stalest] ?? NO_PATH).used_ms) stalest = path;
    }
    return stalest;
  }

  /** Something that asks for an answer goes out. */
  sent(to: number, index: number, now_ms: number): void {
    const path = this.#peer(to).paths[index];
    if (path === undefined) return;
    path.used_ms = now_ms;
    if (path.unanswered === 0) path.unansweredSince_ms = now_ms;
    path.unanswered += 1;
  }

  /**
   * An answer came at once, and does not say to which send. If it can be the answer to one alone, the round trip is known; if it could be to
   * any of several, nothing is measured (Karn).
   */
  replied(to: number, index: number, now_ms: number): void {
    const path = this.#peer(to).paths[index];
    const isBeyondDoubt = path?.unanswered === 1;
    this.answered(to, index, now_ms, isBeyondDoubt ? now_ms - path.unansweredSince_ms : undefined);
  }

  /** An answer came, to a send so long ago, if that is known. */
  answered(to: number, index: number, now_ms: number, roundTrip_ms: number | undefined): void {
    const peer = this.#peer(to);
    const path = peer.paths[index];
    if (path === undefined) return;
    if (roundTrip_ms !== undefined) addSample(path, roundTrip_ms);
    path.unanswered = 0;
    path.failures = 0;
    if (!path.isUp) this.#setUp(peer, path, true);
    for (const other of peer.paths) {
      if (other !== path) this.#judge(peer, other, now_ms);
    }
    if (index !== peer.best && isBetter(path, peer.paths[peer.best] ?? NO_PATH)) {
      peer.best = index;
      this.#count("path_changed");
    }
  }

  /** How long to wait for an answer on the best path. */
  timeout_ms(to: number, bounds: PathBounds, unmeasured_ms: number): number {
    const { paths, best } = this.#peer(to);
    return timeoutOf(paths[best] ?? NO_PATH, bounds, unmeasured_ms);
  }

  /** Of all peers to which anything was sent. */
  status(): PathStatus[] {
    return [...this.#peers].flatMap(([nodeId, peer]) =>
      peer.paths.map(({ isUp, failures, samples, smoothed_ms }, path) => {
        return { nodeId, path, isUp, failures, roundTrip_ms: samples === 0 ? undefined : smoothed_ms };
      }),
    );
  }

  #judge(peer: Peer, path: Path, now_ms: number): void {
    if (path.unanswered === 0) return;
    if (now_ms - path.unansweredSince_ms < timeoutOf(path, this.#patience, this.#patience.max_ms)) return;
    path.unanswered = 0;
    path.failures += 1;
    if (path.isUp && path.failures >= PATH_FAILURES_MAX) this.#setUp(peer, path, false);
  }

  #setUp(peer: Peer, path: Path, isUp: boolean): void {
    path.isUp = isUp;
    peer.up = peer.all.filter((index) => peer.paths[index]?.isUp);
    this.#count(isUp ? "path_up" : "path_down");
  }

  #peer(to: number): Peer {
    const known = this.#peers.get(to);
    if (known !== undefined) return known;
    const paths = Array.from({ length: this.#pathsOf(to) }, newPath);
    const all = paths.map((_, index) => index);
    const peer: Peer = { paths, all, up: all, best: 0 };
    this.#peers.set(to, peer);
    return peer;
  }
}

function newPath(): Path {
  return {
    isUp: true,
    failures: 0,
    samples: 0,
    smoothed_ms: 0,
    variation_ms: 0,
    unanswered: 0,
    unansweredSince_ms: 0,
    used_ms: Number.NEGATIVE_INFINITY,
  };
}

function addSample(path: Path, roundTrip_ms: number): void {
  if (path.samples === 0) {
    path.smoothed_ms = roundTrip_ms;
    path.variation_ms = roundTrip_ms / 2;
  } else {
    path.variation_ms += VARIATION_SMOOTHING * (Math.abs(path.smoothed_ms - roundTrip_ms) - path.variation_ms);
    path.smoothed_ms += SMOOTHING * (roundTrip_ms - path.smoothed_ms);
  }
  path.samples += 1;
}

function timeoutOf(path: Path, bounds: PathBounds, unmeasured_ms: number): number {
  if (path.samples === 0) return unmeasured_ms;
  return Math.min(bounds.max_ms, Math.max(bounds.min_ms, path.smoothed_ms + VARIATIONS * path.variation_ms));
}

/** It answered just now; the other one failed to, or is slower by far. */
function isBetter(path: Path, best: Path): boolean {
  if (best.failures > 0) return true;
  const isMeasured = path.samples >= SAMPLES_TO_COMPARE && best.samples >= SAMPLES_TO_COMPARE;
  return isMeasured && path.smoothed_ms * 2 < best.smoothed_ms;
}
