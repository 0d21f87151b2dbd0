// The shared carriages that this program knows by name, and what the ring told of all of them. Used by raincore.ts.
import { RainfrontError } from "../errors.js";
import { NAME_PATTERN, NAMES_MAX } from "../raincore/carriages/codec.js";
import type { UpdateResult } from "../raincore/carriages/sharedCarriages.js";
import { Carriage, type CarriageState } from "./carriage.js";

/** Puts `bytes` in the place of version `ifVersion` of a name, which was heard of in that membership. */
export type UpdateByName = (
  name: string,
  ifVersion: number,
  bytes: Uint8Array | undefined,
  membership: number,
) => Promise<UpdateResult>;

interface Known extends CarriageState {
  readonly membership: number;
}

export class Carriages {
  readonly #update: UpdateByName;
  /** Kept for good: the program may have one in its hands, and wait for its changes. */
  readonly #asked = new Map<string, Carriage>();
  /** Of all names that are on the token, asked for or not. */
  readonly #states = new Map<string, Known>();

  constructor(update: UpdateByName) {
    this.#update = update;
  }

  /** Throws `RF_ARGUMENT` for what is no name, `RF_CARRIAGE_LIMIT` for one too many. */
  get(name: string): Carriage {
    const known = this.#asked.get(name);
    if (known !== undefined) return known;
    if (!NAME_PATTERN.test(name)) {
      throw new RainfrontError("RF_ARGUMENT", `name: 1 to 32 of a-z 0-9 . -, not "${name.slice(0, 64)}"`, {
        fix: "give the carriage another name",
      });
    }
    if (this.#asked.size >= NAMES_MAX) {
      throw new RainfrontError("RF_CARRIAGE_LIMIT", `carriage ${name} is one more than ${NAMES_MAX} different ones`, {
        fix: "use fewer names: large state belongs into messages",
      });
    }
    const carriage = new Carriage(name, this.#states.get(name), (ifVersion, bytes) =>
      this.#update(name, ifVersion, bytes, this.#states.get(name)?.membership ?? 0),
    );
    this.#asked.set(name, carriage);
    return carriage;
  }

  /** `bytes` undefined: it does not exist any more. */
  change(name: string, version: number, bytes: Uint8Array | undefined, membership: number): void {
    if (bytes === undefined) this.#states.delete(name);
    else this.#states.set(name, { version, bytes, membership });
    this.#asked.get(name)?.change({ version, bytes });
  }

  /** What updates wait for may never come. */
  recheck(): void {
    for (const carriage of this.#asked.values()) carriage.recheck();
  }
}
