// The MAC under which a node's VIPs are announced on a segment. Used by the daemon for the port, the ARP guard and the
// peers' table; every node computes every other node's.
import { createHash } from "node:crypto";

/** `02:hh:hh:hh:nn:nn`: locally administered, unicast, unique per cluster, segment and node. */
export function frontMac(cluster: string, segment: string, nodeId: number): string {
  if (!Number.isInteger(nodeId) || nodeId < 1 || nodeId > 0xffff) throw new RangeError("a nodeId is 1..65535");
  const hash = createHash("sha256").update(`${cluster}/${segment}`).digest();
  const bytes = [0x02, ...hash.subarray(0, 3), nodeId >> 8, nodeId & 0xff];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
