// IPv4 addresses and subnets as numbers: pure helpers for the checks in this folder, the daemon and the lab.

/** A subnet; addresses are unsigned 32-bit numbers in host order. */
export interface Ipv4Subnet {
  readonly network: number;
  readonly prefixLength: number;
  readonly mask: number;
  readonly broadcast: number;
}

const OCTET = /^(?:0|[1-9]\d{0,2})$/;

/** `undefined` for anything but four decimal octets without leading zeros (which some tools read as octal). */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let address = 0;
  for (const part of parts) {
    if (!OCTET.test(part) || Number(part) > 255) return undefined;
    address = address * 256 + Number(part);
  }
  return address;
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

export function subnetOf(address: number, prefixLength: number): Ipv4Subnet {
  // A shift by 32 is a shift by 0 in JavaScript, hence the special case.
  const mask = prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
  const network = (address & mask) >>> 0;
  return { network, prefixLength, mask, broadcast: (network | ~mask) >>> 0 };
}

/** Reads `192.0.2.0/24`. Host bits are accepted here; compare `network` with the address to refuse them. */
export function parseCidr(text: string): { readonly address: number; readonly subnet: Ipv4Subnet } | undefined {
  const match = /^([^/]+)\/(\d{1,2})$/.exec(text);
  const address = match?.[1] === undefined ? undefined : parseIpv4(match[1]);
  const prefixLength = Number(match?.[2]);
  if (address === undefined || !(prefixLength <= 32)) return undefined;
  return { address, subnet: subnetOf(address, prefixLength) };
}

export function formatSubnet(subnet: Ipv4Subnet): string {
  return `${formatIpv4(subnet.network)}/${subnet.prefixLength}`;
}

export function contains(subnet: Ipv4Subnet, address: number): boolean {
  return (address & subnet.mask) >>> 0 === subnet.network;
}

/** Inside the subnet and neither its network nor its broadcast address. */
export function isHostOf(subnet: Ipv4Subnet, address: number): boolean {
  return contains(subnet, address) && address !== subnet.network && address !== subnet.broadcast;
}

export function overlap(a: Ipv4Subnet, b: Ipv4Subnet): boolean {
  return contains(a, b.network) || contains(b, a.network);
}

/** False for 0/8, loopback, multicast and the reserved top: no interface of a segment may have such an address. */
export function isUnicast(address: number): boolean {
  const top = address >>> 24;
  return top !== 0 && top !== 127 && top < 224;
}
