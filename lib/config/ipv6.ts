// IPv6 addresses and subnets as numbers, and their one spelling: pure helpers for the checks in this folder and the commands.

import { formatIpv4, parseIpv4 } from "./ipv4.js";

/** A subnet; addresses are unsigned 128-bit numbers. */
export interface Ipv6Subnet {
  readonly network: bigint;
  readonly prefixLength: number;
  readonly last: bigint;
}

const BITS = 128;
const GROUPS = 8;
const CHARS_MAX = 45;
const GROUP = /^[0-9a-f]{1,4}$/i;

/** Any spelling of RFC 4291, section 2.2; `undefined` for all else, also for one with a zone (`fe80::1%eth0`). */
export function parseIpv6(text: string): bigint | undefined {
  if (text.length > CHARS_MAX) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => groupsOf(half, index === halves.length - 1));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = GROUPS - head.length - (tail?.length ?? 0);
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...(tail ?? [])];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** What stands on one side of `::`; the end of an address may be written as IPv4. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    const ipv4 = isEnd && index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (ipv4 !== undefined) groups.push(ipv4 >>> 16, ipv4 & 0xffff);
    else if (GROUP.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** The spelling of RFC 5952: lower case, no leading zeros, the first of the longest runs of two or more zeros is `::`. */
export function formatIpv6(address: bigint): string {
  const groups = Array.from({ length: GROUPS }, (_, i) => Number((address >> BigInt(BITS - 16 * (i + 1))) & 0xffffn));
  const run = longestZeros(groups);
  const text = (some: readonly number[]) => some.map((group) => group.toString(16)).join(":");
  if (run.length < 2) return text(groups);
  return `${text(groups.slice(0, run.from))}::${text(groups.slice(run.from + run.length))}`;
}

/** With which those groups begin. */
export const SOLICITED_NODE = "ff02::1:ff";

/** The group that questions for an address go to (RFC 4291, section 2.7.1). */
export function solicitedNodeGroup(address: bigint): bigint {
  return (0xff02n << 112n) | (0x1ffn << 24n) | (address & 0xff_ffffn);
}

function longestZeros(groups: readonly number[]): { readonly from: number; readonly length: number } {
  let best = { from: 0, length: 0 };
  let from = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) from = index + 1;
    else if (index + 1 - from > best.length) best = { from, length: index + 1 - from };
  }
  return best;
}

/** Reads `2001:db8::/64`. Host bits are accepted here; compare `network` with the address to refuse them. */
export function parseCidr6(text: string): { readonly address: bigint; readonly subnet: Ipv6Subnet } | undefined {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = match?.[1] === undefined ? undefined : parseIpv6(match[1]);
  const prefixLength = Number(match?.[2]);
  if (address === undefined || !(prefixLength <= BITS)) return undefined;
  const hosts = (1n << BigInt(BITS - prefixLength)) - 1n;
  const last = address | hosts;
  return { address, subnet: { network: last ^ hosts, prefixLength, last } };
}

export function formatSubnet6(subnet: Ipv6Subnet): string {
  return `${formatIpv6(subnet.network)}/${subnet.prefixLength}`;
}

/** Inside the subnet and not its first address, which is that of all its routers (RFC 4291, section 2.6.1). */
export function contains6({ network, last }: Ipv6Subnet, address: bigint): boolean {
  return address >= network && address <= last;
}

export function isHostOf6(subnet: Ipv6Subnet, address: bigint): boolean {
  return address > subnet.network && address <= subnet.last;
}

export function overlap6(a: Ipv6Subnet, b: Ipv6Subnet): boolean {
  return a.network <= b.last && b.network <= a.last;
}

/** Why no host of a segment can have it as an address that others reach; `undefined` for global (2000::/3) and unique local (fc00::/7) ones. */
export function unfitness6(address: bigint): string | undefined {
  if (address >> 125n === 0b001n || address >> 121n === 0b1111110n) return undefined;
  if (address >> 32n === 0xffffn) return `it is an IPv4 address: write ${formatIpv4(Number(address & 0xffffffffn))}`;
  if (address >> 118n === 0b1111111010n) return "it is link-local";
  if (address >> 120n === 0xffn) return "it is multicast";
  if (address === 1n) return "it is the loopback address";
  if (address === 0n) return "it is the unspecified address";
  return "it is neither global (2000::/3) nor unique local (fc00::/7)";
}
