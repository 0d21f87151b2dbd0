// The key of the flow hash, the same on all members and known to nobody outside: whoever comes to a token without one makes it. It is not
// derived from the cluster key, so that this can be changed while the group steers. Used by the daemon.
import type { TokenContext, TokenModule } from "../raincore/types.js";

export const FLOW_HASH_KEY_BYTES = 16;

export interface SharedSecretConfig {
  /** That many bytes that nobody can guess. */
  readonly random: (bytes: number) => Uint8Array;
  /** The key that holds from now on; undefined outside a group. Called before the token goes on. */
  readonly onChange: (key: Uint8Array | undefined) => void;
}

export class SharedSecret implements TokenModule {
  readonly carriage = "steering";
  readonly format = 1;
  readonly bytesMax = FLOW_HASH_KEY_BYTES;
  readonly #config: SharedSecretConfig;
  #key: Uint8Array | undefined;

  constructor(config: SharedSecretConfig) {
    this.#config = config;
  }

  get isIdle(): boolean {
    return this.#key !== undefined;
  }

  onToken(_ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array {
    // A token without a key is one from before it was made: the key in force steers on.
    const key = isKey(bytes) ? bytes : (this.#key ?? this.#config.random(FLOW_HASH_KEY_BYTES));
    if (!isSame(key, this.#key)) {
      this.#key = key;
      this.#config.onChange(key);
    }
    return key;
  }

  onLost(): void {
    this.#key = undefined;
    this.#config.onChange(undefined);
  }
}

function isKey(bytes: Uint8Array | undefined): bytes is Uint8Array {
  return bytes?.length === FLOW_HASH_KEY_BYTES;
}

function isSame(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.every((byte, index) => byte === b[index]);
}
