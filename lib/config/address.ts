// An address of either family as text: which family, and the one spelling by which it is known everywhere (RFC 5952 for IPv6). Used for VIPs by
// this folder, the daemon, the commands and the lab.

import { formatIpv4, parseIpv4 } from "./ipv4.js";
import { formatIpv6, parseIpv6 } from "./ipv6.js";

export const FAMILIES = [4, 6] as const;
export type AddressFamily = (typeof FAMILIES)[number];

/** Of a text that is an address. */
export function familyOf(address: string): AddressFamily {
  return address.includes(":") ? 6 : 4;
}

/** The one spelling of an address, `undefined` for what is none. */
export function canonicalAddress(text: string): string | undefined {
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined) return formatIpv4(ipv4);
  const ipv6 = parseIpv6(text);
  return ipv6 === undefined ? undefined : formatIpv6(ipv6);
}

/** What the kernel takes as the prefix length of a single address. */
export function hostPrefixLength(address: string): number {
  return familyOf(address) === 6 ? 128 : 32;
}
