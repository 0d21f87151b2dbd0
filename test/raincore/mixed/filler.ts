// A module that fills the token, so that no room is left for others. Used by the mixed rings.
import type { TokenContext, TokenModule } from "../../../lib/raincore/types.js";

/** Leaves room for no service. */
export const FILL_BYTES_MAX = 185_300;
/** Leaves room for locks and shared carriages, not for multicast. */
export const FILL_BYTES_HALF = 120_000;

/** What it may write is what it writes, so that it can always make room. */
export class Filler implements TokenModule {
  readonly carriage = "filler";
  readonly format = 1;
  readonly #bytes: () => number;

  constructor(bytes: () => number) {
    this.#bytes = bytes;
  }

  get bytesMax(): number {
    return this.#bytes();
  }

  onToken(_ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array {
    return bytes?.length === this.bytesMax ? bytes : new Uint8Array(this.bytesMax);
  }

  onLost(): void {}
}
