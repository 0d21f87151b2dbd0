// The packets of the vectors as text: layers from outside to inside, separated by " / ". Lengths, checksums and protocol numbers are filled in;
// a field that is given is taken as it is, so every one of them can be wrong. docs/packet-path.md lists the layers.
//
//   eth stranger>front1 / vlan 10 / ip4 198.51.100.7>10.77.0.20 ttl=3 / udp 40000>53 / bytes 12

const MACS: Readonly<Record<string, string>> = {
  stranger: "52:54:00:12:34:56",
  router: "52:54:00:00:00:01",
  nic: "52:54:00:99:99:99",
  broadcast: "ff:ff:ff:ff:ff:ff",
  allnodes: "33:33:00:00:00:01",
  none: "00:00:00:00:00:00",
};
/** First four bytes of the front MACs of the layer's segment. */
export const LAYER_PREFIX = [0x02, 0xaa, 0xbb, 0xcc] as const;
/** In the first byte of a front MAC as the source of a relay. */
const RELAY_BITS: Readonly<Record<string, number>> = { front: 0, direct: 0x04, final: 0x08 };
const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  ip6: 41,
  route: 43,
  frag: 44,
  gre: 47,
  esp: 50,
  auth: 51,
  icmp6: 58,
  ns: 58,
  na: 58,
  nonext: 59,
  dest: 60,
  sctp: 132,
};
const ETHERTYPES: Readonly<Record<string, number>> = {
  ip4: 0x0800,
  arp: 0x0806,
  ip6: 0x86dd,
  vlan: 0x8100,
  qinq: 0x88a8,
};

interface Layer {
  readonly name: string;
  readonly args: readonly string[];
  readonly fields: ReadonlyMap<string, string>;
}

/** What a layer needs of the one around it: transport checksums are over addresses. */
interface Around {
  readonly src?: Uint8Array;
  readonly dst?: Uint8Array;
}

export function buildFrame(text: string): Uint8Array {
  const layers = text.split(" / ").map(parseLayer);
  const cut = layers.findIndex(({ name }) => name === "cut" || name === "pad" || name === "poke");
  const body = cut < 0 ? layers : layers.slice(0, cut);
  let frame = build(body, {});
  for (const { name, args, fields } of cut < 0 ? [] : layers.slice(cut)) {
    if (name === "cut") frame = frame.slice(0, Number(args[0]));
    else if (name === "pad") frame = concat(frame, new Uint8Array(Number(args[0])));
    else if (name === "poke") for (const [at, value] of fields) frame[Number(at)] = Number(value);
    else throw new Error(`${name} after cut, pad or poke: ${text}`);
  }
  return frame;
}

function parseLayer(text: string): Layer {
  const [name = "", ...words] = text.trim().split(/\s+/);
  const fields = new Map<string, string>();
  const args: string[] = [];
  for (const word of words) {
    const at = word.indexOf("=");
    if (at < 0) args.push(word);
    else fields.set(word.slice(0, at), word.slice(at + 1));
  }
  return { name, args, fields };
}

function build(layers: readonly Layer[], around: Around): Uint8Array {
  const [layer, ...inner] = layers;
  if (layer === undefined) return new Uint8Array(0);
  const make = LAYERS[layer.name];
  if (make === undefined) throw new Error(`no such layer: ${layer.name}`);
  return make(layer, inner, around);
}

const LAYERS: Readonly<Record<string, (layer: Layer, inner: readonly Layer[], around: Around) => Uint8Array>> = {
  eth: ({ args, fields }, inner) => {
    const [src, dst] = pair(args[0]);
    return concat(
      mac(dst),
      mac(src),
      u16(number(fields, "type", ETHERTYPES[inner[0]?.name ?? ""] ?? 0x88b5)),
      build(inner, {}),
    );
  },
  vlan: (layer, inner) => tag(layer, inner),
  qinq: (layer, inner) => tag(layer, inner),
  ip4: ipv4,
  ip6: ipv6,
  hop: (layer, inner, around) => extension(layer, inner, around),
  route: (layer, inner, around) => extension(layer, inner, around),
  dest: (layer, inner, around) => extension(layer, inner, around),
  ext: (layer, inner, around) => extension(layer, inner, around),
  auth: ({ fields }, inner, around) => {
    const words = number(fields, "len", 4);
    return concat([next(fields, inner), words], new Uint8Array((words + 2) * 4 - 2), build(inner, around));
  },
  frag: ({ fields }, inner, around) => {
    const place = (number(fields, "offset", 0) << 3) | number(fields, "more", 0);
    return concat([next(fields, inner), 0], u16(place), u32(number(fields, "id", 1)), build(inner, around));
  },
  tcp: ({ args, fields }, inner, around) => {
    const [sport, dport] = pair(args[0]).map(Number);
    const header = concat(
      u16(sport ?? 0),
      u16(dport ?? 0),
      u32(1000),
      u32(0),
      [number(fields, "doff", 5) << 4, tcpFlags(fields.get("flags") ?? "S")],
      u16(65535),
      u16(0),
      u16(0),
    );
    return checked(concat(header, build(inner, {})), 16, 6, around, fields);
  },
  udp: ({ args, fields }, inner, around) => {
    const [sport, dport] = pair(args[0]).map(Number);
    const payload = build(inner, {});
    const header = concat(u16(sport ?? 0), u16(dport ?? 0), u16(number(fields, "len", 8 + payload.length)), u16(0));
    return checked(concat(header, payload), 6, 17, around, fields);
  },
  sctp: ({ args }, inner) => {
    const [sport, dport] = pair(args[0]).map(Number);
    return concat(u16(sport ?? 0), u16(dport ?? 0), u32(0x01020304), u32(0), build(inner, {}));
  },
  icmp: ({ fields }, inner) => {
    const header = concat(
      [number(fields, "type", 8), number(fields, "code", 0)],
      u16(0),
      u16(number(fields, "id", 0)),
      u16(number(fields, "seq", 1)),
    );
    const bytes = concat(header, build(inner, {}));
    return withSum(bytes, 2, bytes, fields);
  },
  icmp6: ({ fields }, inner, around) => {
    const header = concat(
      [number(fields, "type", 128), number(fields, "code", 0)],
      u16(0),
      u16(number(fields, "id", 0)),
      u16(number(fields, "seq", 1)),
    );
    return checked(concat(header, build(inner, {})), 2, 58, around, fields);
  },
  ns: (layer, inner, around) => neighbour(135, 1, layer, inner, around),
  na: (layer, inner, around) => neighbour(136, 2, layer, inner, around),
  arp: ({ args, fields }) => {
    const [sender, target] = pair(args[1]);
    const operation = args[0] === "request" ? 1 : args[0] === "reply" ? 2 : Number(args[0]);
    return concat(
      u16(number(fields, "hardware", 1)),
      u16(number(fields, "protocol", 0x0800)),
      [number(fields, "maclen", 6), number(fields, "iplen", 4)],
      u16(operation),
      mac(fields.get("sha") ?? "stranger"),
      address4(sender),
      mac(fields.get("tha") ?? "none"),
      address4(target),
    );
  },
  /** The following layers, but only so many of their bytes: what an ICMP error quotes. */
  first: ({ args }, inner) => build(inner, {}).slice(0, Number(args[0])),
  gre: (_layer, inner) => concat([0, 0, 8, 0], build(inner, {})),
  esp: (_layer, inner) => concat(u32(0x100), u32(1), build(inner, {})),
  nonext: (_layer, inner) => build(inner, {}),
  bytes: ({ args, fields }, inner) =>
    concat(new Uint8Array(Number(args[0])).fill(number(fields, "of", 0x5a)), build(inner, {})),
  hex: ({ args }, inner) => concat(Buffer.from(args.join(""), "hex"), build(inner, {})),
};

function tag({ args }: Layer, inner: readonly Layer[]): Uint8Array {
  return concat(u16(Number(args[0] ?? 1)), u16(ETHERTYPES[inner[0]?.name ?? ""] ?? 0x88b5), build(inner, {}));
}

function ipv4({ args, fields }: Layer, inner: readonly Layer[]): Uint8Array {
  const [src, dst] = pair(args[0]).map(address4) as [Uint8Array, Uint8Array];
  const payload = build(inner, { src, dst });
  const options = number(fields, "options", 0);
  const ihl = number(fields, "ihl", 5 + options);
  const length = number(fields, "len", 20 + 4 * options + payload.length);
  const place = (number(fields, "df", 0) << 14) | (number(fields, "mf", 0) << 13) | number(fields, "offset", 0);
  const protocol = number(fields, "proto", PROTOCOLS[inner[0]?.name ?? ""] ?? 253);
  const head = concat(
    [(number(fields, "version", 4) << 4) | ihl, 0],
    u16(length),
    u16(number(fields, "id", 0x1234)),
    u16(place),
    [number(fields, "ttl", 64), protocol],
    u16(0),
    src,
    dst,
    new Uint8Array(4 * options).fill(1),
  );
  return concat(withSum(head, 10, head, fields), payload);
}

function ipv6({ args, fields }: Layer, inner: readonly Layer[]): Uint8Array {
  const [src, dst] = pair(args[0]).map(address6) as [Uint8Array, Uint8Array];
  const payload = build(inner, { src, dst });
  const header = concat([number(fields, "version", 6) << 4, 0], u16(0), u16(number(fields, "len", payload.length)), [
    next(fields, inner),
    number(fields, "hops", 64),
  ]);
  return concat(header, src, dst, payload);
}

/** In tcpdump's letters. */
function tcpFlags(text: string): number {
  const bits = [...text].map((letter) => ["F", "S", "R", "P", "A"].indexOf(letter));
  if (bits.includes(-1)) throw new Error(`no TCP flags: ${text}`);
  return bits.reduce((flags, bit) => flags | (1 << bit), 0);
}

/** With the length that every extension header but AH has: in units of 8 bytes, less one. */
function extension({ fields }: Layer, inner: readonly Layer[], around: Around): Uint8Array {
  const units = number(fields, "len", 0);
  return concat([next(fields, inner), units], new Uint8Array((units + 1) * 8 - 2), build(inner, around));
}

function neighbour(
  type: number,
  kind: number,
  { args, fields }: Layer,
  inner: readonly Layer[],
  around: Around,
): Uint8Array {
  const option = fields.get("mac");
  const message = concat(
    [type, number(fields, "code", 0)],
    u16(0),
    [number(fields, "flags", 0), 0, 0, 0],
    address6(args[0] ?? ""),
    option === undefined ? [] : concat([kind, number(fields, "optlen", 1)], mac(option)),
    build(inner, {}),
  );
  return checked(message, 2, 58, around, fields);
}

function next(fields: ReadonlyMap<string, string>, inner: readonly Layer[]): number {
  const { name = "", fields: own } = inner[0] ?? { fields: new Map<string, string>() };
  const known = name === "hop" ? 0 : name === "ext" ? number(own, "of", 135) : (PROTOCOLS[name] ?? 253);
  return number(fields, "next", known);
}

/** With the checksum over addresses, protocol and length, RFC 768's, 9293's and 8200's alike. */
function checked(
  bytes: Uint8Array,
  at: number,
  protocol: number,
  { src, dst }: Around,
  fields: ReadonlyMap<string, string>,
): Uint8Array {
  const pseudo = concat(src ?? [], dst ?? [], u32(bytes.length), u32(protocol));
  return withSum(bytes, at, concat(pseudo, bytes), fields);
}

function withSum(bytes: Uint8Array, at: number, over: Uint8Array, fields: ReadonlyMap<string, string>): Uint8Array {
  const sum = number(fields, "sum", internetChecksum(over));
  bytes.set(u16(sum), at);
  return bytes;
}

export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function frontMacOf(node: number, bits: number): Uint8Array {
  const [first, ...rest] = LAYER_PREFIX;
  return Uint8Array.from([first | bits, ...rest, ...u16(node)]);
}

export function mac(text: string): Uint8Array {
  const [, kind, node] = /^(front|direct|final)(\d+)$/.exec(text) ?? [];
  if (kind !== undefined) return frontMacOf(Number(node), RELAY_BITS[kind] ?? 0);
  const group = /^33-(.*)$/.exec(text)?.[1];
  if (group !== undefined) return Uint8Array.from([0x33, 0x33, ...address6(group).slice(12)]);
  const bytes = (MACS[text] ?? text).split(":").map((octet) => Number.parseInt(octet, 16));
  if (bytes.length !== 6 || bytes.some(Number.isNaN)) throw new Error(`no MAC: ${text}`);
  return Uint8Array.from(bytes);
}

export function address4(text: string): Uint8Array {
  const bytes = text.split(".").map(Number);
  if (bytes.length !== 4 || bytes.some((byte) => !(byte >= 0 && byte <= 255)))
    throw new Error(`no IPv4 address: ${text}`);
  return Uint8Array.from(bytes);
}

export function address6(text: string): Uint8Array {
  const [head = "", tail] = text.split("::");
  const words = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const gap = 8 - before.length - after.length;
  if ((tail === undefined ? gap !== 0 : gap < 1) || [...before, ...after].some(Number.isNaN))
    throw new Error(`no IPv6 address: ${text}`);
  return Uint8Array.from([...before, ...new Array<number>(gap).fill(0), ...after].flatMap((word) => [...u16(word)]));
}

function pair(text: string | undefined): [string, string] {
  const [from, to, ...more] = (text ?? "").split(">");
  if (from === undefined || to === undefined || more.length > 0) throw new Error(`not FROM>TO: ${text}`);
  return [from, to];
}

function number(fields: ReadonlyMap<string, string>, name: string, fallback: number): number {
  const text = fields.get(name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value)) throw new Error(`${name}=${text} is no whole number`);
  return value;
}

function u16(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 0xff, value & 0xff);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

function concat(...parts: readonly ArrayLike<number>[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => Array.from(part)));
}
