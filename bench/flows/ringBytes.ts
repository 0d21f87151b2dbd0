// What a message comes to on the ring's network. Pure.

import { SEAL_OVERHEAD_BYTES, sealedBytes } from "../../lib/raincore/secureChannel.js";
import { HAVE_EVERY_PARTS, PART_HEAD_BYTES } from "../../lib/raincore/transport/limits.js";
import { MTU_MAX } from "../../lib/session/mtu.js";

const IPV4_AND_UDP_BYTES = 20 + 8;
const PART_BYTES = MTU_MAX - IPV4_AND_UDP_BYTES - SEAL_OVERHEAD_BYTES - PART_HEAD_BYTES;
/** A receipt at its shortest. */
const RECEIPT_BYTES = sealedBytes(0) + IPV4_AND_UDP_BYTES;

/** Of IP packets, both ways: its parts, each sealed in a datagram, and the receipts of an undisturbed delivery. One path, no resends. */
export function ringBytesOf(messageBytes: number): number {
  const parts = Math.max(1, Math.ceil(messageBytes / PART_BYTES));
  const receipts = Math.ceil(parts / HAVE_EVERY_PARTS);
  return messageBytes + parts * (PART_HEAD_BYTES + SEAL_OVERHEAD_BYTES + IPV4_AND_UDP_BYTES) + receipts * RECEIPT_BYTES;
}
