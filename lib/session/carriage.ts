// A small piece of state that all members share, changed by one at a time. Made by raincore.ts.
import { EventEmitter } from "node:events";
import { RainfrontError } from "../errors.js";
import type { UpdateResult } from "../raincore/carriages/sharedCarriages.js";

/** A shared carriage as it is at one version. */
export interface CarriageState {
  /** Grows with every change; 0 before the first. */
  readonly version: number;
  /** Undefined while it does not exist. */
  readonly bytes: Uint8Array | undefined;
}

const NOTHING: CarriageState = { version: 0, bytes: undefined };
/** Others may win so often before an update gives up. */
const ATTEMPTS_MAX = 64;

/** Puts `bytes` (undefined: nothing) in the place of version `ifVersion`, or says why not. */
export type CompareAndSet = (ifVersion: number, bytes: Uint8Array | undefined) => Promise<UpdateResult>;

/** A small value that all members share; from `Raincore.carriage`. Its `change` event comes once per change, in the same order on every member. */
export class Carriage extends EventEmitter<{ change: [state: CarriageState] }> {
  readonly name: string;
  readonly #compareAndSet: CompareAndSet;
  #state: CarriageState;
  /** Updates that others were ahead of, until that is seen here. */
  readonly #waiting: (() => void)[] = [];
  #checks = 0;

  constructor(name: string, state: CarriageState | undefined, compareAndSet: CompareAndSet) {
    super();
    this.name = name;
    this.#state = state ?? NOTHING;
    this.#compareAndSet = compareAndSet;
  }

  /** As the token showed it last. */
  get state(): CarriageState {
    return this.#state;
  }

  /**
   * Replaces it by what `change` makes of it; undefined removes it, the same object leaves it. `change` is called again if another node was
   * first. All members see all changes in the same order. Rejects with `RF_CARRIAGE_LIMIT`, `RF_REQUESTS_FULL`, `RF_NOT_DELIVERED` if
   * membership was lost on the way, and `RF_CARRIAGE_CONFLICT` if others are always first.
   */
  async update(change: (bytes: Uint8Array | undefined) => Uint8Array | undefined): Promise<CarriageState> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { version, bytes } = this.#state;
      const checks = this.#checks;
      const wanted = change(bytes);
      if (wanted === bytes) return this.#state;
      // What does not exist is at version 0, also when it did exist.
      const result = await this.#compareAndSet(bytes === undefined ? 0 : version, wanted);
      if (result.ok) return { version: result.version, bytes: wanted };
      if (result.cause !== "version") throw this.#refusal(result.cause);
      if (this.#checks === checks) await this.#rechecked();
    }
    throw new RainfrontError(
      "RF_CARRIAGE_CONFLICT",
      `carriage ${this.name} was changed by others ${ATTEMPTS_MAX} times`,
      {
        fix: "change it less often, or under a lock",
      },
    );
  }

  /** For raincore.ts. */
  change(state: CarriageState): void {
    this.#state = state;
    this.recheck();
    this.emit("change", state);
  }

  /** For raincore.ts: what an update waits for may never come. */
  recheck(): void {
    this.#checks += 1;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #refusal(cause: "limit" | "lost" | "unknown"): RainfrontError {
    if (cause === "limit") {
      return new RainfrontError("RF_CARRIAGE_LIMIT", `carriage ${this.name} is one too many, or too large`, {
        fix: "share less: large state belongs into messages",
      });
    }
    const known = cause === "lost" ? "was not made" : "may have been made, or not";
    return new RainfrontError(
      "RF_NOT_DELIVERED",
      `membership was lost, and the change of carriage ${this.name} ${known}`,
      {
        fix: "look at the carriage again after joining",
      },
    );
  }

  #rechecked(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
