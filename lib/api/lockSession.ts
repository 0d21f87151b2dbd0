// One control connection that has a lock or waits for one, the daemon's end. Made by control.ts when `lock` is asked for.

import { RainfrontError } from "../errors.js";
import { LOCK_HELD_INTERVAL_MS, type LockParams, type LockProvider, type LockProviderEvent } from "./lockProtocol.js";

/** How the session reaches its client. */
export interface LockPeer {
  answer(result: object): void;
  refuse(error: RainfrontError): void;
  push(event: object): void;
  hangUp(): void;
  /** Bytes that were said and that the kernel has not taken: it has a buffer full that the client has not read. */
  readonly waitingBytes: number;
}

export class LockSession {
  readonly #provider: LockProvider;
  readonly #params: LockParams;
  readonly #peer: LockPeer;
  readonly #request: number;
  #state: "waiting" | "held" | "over" = "waiting";
  #heartbeat: NodeJS.Timeout | undefined;
  #isStalled = false;

  constructor(provider: LockProvider, params: LockParams, peer: LockPeer) {
    this.#provider = provider;
    this.#params = params;
    this.#peer = peer;
    this.#request = provider.acquire(params, (event) => this.#onEvent(event));
  }

  /** Resolves when others can have the lock. */
  async release(): Promise<void> {
    if (this.#state === "over") return;
    this.#end();
    await this.#provider.release(this.#request);
  }

  #onEvent(event: LockProviderEvent): void {
    if (this.#state === "over") return;
    switch (event.type) {
      case "granted":
        this.#state = "held";
        this.#heartbeat = setInterval(() => this.#sayHeld(), LOCK_HELD_INTERVAL_MS);
        this.#peer.answer({ name: this.#params.name, fence: event.fence.toString() });
        return;
      case "lost":
        this.#end();
        this.#peer.push({ event: "lost", name: this.#params.name, reason: event.reason });
        this.#peer.hangUp();
        return;
      case "refused":
        this.#end();
        this.#peer.refuse(refusal(this.#params, event.reason));
        this.#peer.hangUp();
        return;
      default:
        event satisfies never;
    }
  }

  /**
   * To a client that reads nothing it is not said again: what waits says as much. The client is stopped then, but not dead, and its command may be
   * at work: the lock stays its own, as it stays that of a slow client (docs/raincore.md, "Locks for commands").
   */
  #sayHeld(): void {
    const isStalled = this.#peer.waitingBytes > 0;
    if (isStalled !== this.#isStalled) this.#provider.stalled?.(this.#params, isStalled);
    this.#isStalled = isStalled;
    if (!isStalled) this.#peer.push({ event: "held" });
  }

  #end(): void {
    this.#state = "over";
    clearInterval(this.#heartbeat);
  }
}

function refusal({ name, wait_ms }: LockParams, reason: "timeout" | "limit" | "leaving"): RainfrontError {
  switch (reason) {
    case "timeout":
      return new RainfrontError("RF_LOCK_TIMEOUT", `the lock ${name} was not free within ${wait_ms ?? 0} ms`, {
        fix: "see who has it with: rainfront locks; or wait longer",
      });
    case "limit":
      return new RainfrontError("RF_LOCK_LIMIT", `there is no room for one more request for a lock (${name})`, {
        fix: "see rainfront locks, and let fewer commands wait at a time",
      });
    case "leaving":
      return new RainfrontError("RF_LOCK_UNAVAILABLE", `this node leaves the group, so it cannot wait for ${name}`, {
        fix: "ask another node, or start this one again",
      });
    default:
      return reason satisfies never;
  }
}
