// What a secure channel knows of one peer: which of its lives is proven, and what it is asked. Used by secureChannel.ts.

import type { AeadKey } from "./aead.js";
import { ReplayWindow } from "./replayWindow.js";
import { type Life, NONCE_BYTES } from "./sealedDatagram.js";

interface Candidate {
  readonly life: Life;
  readonly keyIndex: number;
  readonly key: AeadKey;
  /** When its last question was answered: one that was recorded can be sent again without end. */
  answered_ms: number;
}

/** What is known of a peer. Made at the start, for each configured one; strangers add nothing. */
export interface Sender {
  readonly nodeId: number;
  life: Life | undefined;
  /** Of the proven life, by the index of the cluster's key. */
  keys: (AeadKey | undefined)[];
  readonly window: ReplayWindow;
  /** The last life that was authentic and not proven. */
  candidate: Candidate | undefined;
  readonly nonce: Uint8Array;
  /** When the nonce was drawn; undefined = there is none that an answer may hold. */
  nonceDrawn_ms: number | undefined;
  challenged_ms: number;
  /** Subkeys derived for lives in its name that were not proven, since then. */
  tries: number;
  triesSince_ms: number;
}

export function newSender(nodeId: number): Sender {
  return {
    nodeId,
    life: undefined,
    keys: [],
    window: new ReplayWindow(),
    candidate: undefined,
    nonce: new Uint8Array(NONCE_BYTES),
    nonceDrawn_ms: undefined,
    challenged_ms: Number.NEGATIVE_INFINITY,
    tries: 0,
    triesSince_ms: Number.NEGATIVE_INFINITY,
  };
}

export function forgetKeys(sender: Sender): void {
  for (const key of sender.keys) key?.destroy();
  sender.keys = [];
  sender.candidate?.key.destroy();
  sender.candidate = undefined;
}
