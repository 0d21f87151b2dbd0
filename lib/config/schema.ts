// The shape of the configuration file: types and single values, unknown keys refused, defaults filled in. What concerns
// more than one value is in check.ts. Used by load.ts.

import { z } from "zod";
import {
  ASSIGNMENTS,
  BACKENDS,
  LOG_LEVELS,
  NODE_WEIGHT_MAX,
  QUORUM_NAMES,
  SEGMENT_NAMES,
  SERVICE_PROTOCOLS,
  STICKINESS,
} from "./config.js";
import { formatSubnet, isUnicast, parseCidr, parseIpv4 } from "./ipv4.js";
import { formatIpv6, formatSubnet6, parseCidr6, parseIpv6, unfitness6 } from "./ipv6.js";
import { DEFAULTS } from "./options.js";

const nodeId = z.int().min(1).max(0xffff);
const address = z.string().refine((text) => {
  const value = parseIpv4(text);
  return value !== undefined && isUnicast(value);
});

/** Of either family; an IPv6 one comes out in its one spelling. */
const anyAddress = z.string().transform((text, context) => {
  const ipv6 = parseIpv6(text);
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined && isUnicast(ipv4)) return text;
  const unfit = ipv6 === undefined ? undefined : unfitness6(ipv6);
  if (ipv6 !== undefined && unfit === undefined) return formatIpv6(ipv6);
  const params = unfit === undefined ? {} : { fix: fixOfUnfit(unfit) };
  context.issues.push({ code: "custom", input: text, params });
  return z.NEVER;
});

function fixOfUnfit(unfit: string): string {
  return unfit.includes("write") ? unfit : `${unfit}; write a global (2000::/3) or unique local (fc00::/7) one`;
}

const PREFIX6_MIN = 16;
/** A network of two hosts at least, beside the address of all its routers. */
const PREFIX6_MAX = 126;

const subnet6 = z.string().transform((text, context) => {
  const cidr = parseCidr6(text);
  const unfit = cidr === undefined ? undefined : unfitness6(cidr.address);
  const isFit = cidr !== undefined && unfit === undefined;
  const isSized = isFit && cidr.subnet.prefixLength >= PREFIX6_MIN && cidr.subnet.prefixLength <= PREFIX6_MAX;
  if (isSized && cidr.address === cidr.subnet.network) return formatSubnet6(cidr.subnet);
  const fix = isSized ? `write ${formatSubnet6(cidr.subnet)}` : unfit === undefined ? undefined : fixOfUnfit(unfit);
  context.issues.push({ code: "custom", input: text, params: fix === undefined ? {} : { fix } });
  return z.NEVER;
});

const subnet = z.string().superRefine((text, context) => {
  const cidr = parseCidr(text);
  if (cidr === undefined || !isUnicast(cidr.address) || cidr.subnet.prefixLength < 8 || cidr.subnet.prefixLength > 30) {
    context.addIssue({ code: "custom" });
  } else if (cidr.address !== cidr.subnet.network) {
    context.addIssue({ code: "custom", params: { fix: `write ${formatSubnet(cidr.subnet)}` } });
  }
});

const interfaceName = z.string().refine(
  // The kernel's own rules for names, and our own interfaces.
  (text) => /^[^\s/:]{1,15}$/.test(text) && text !== "." && text !== ".." && !/^rf[xy]?-/.test(text),
);

const segment = z.strictObject({ interface: interfaceName, subnet, subnet6: subnet6.optional() });
const segmentName = z.enum(SEGMENT_NAMES);
const port = z.int().min(1).max(0xffff);
/** What a kernel gives to connections that are translated: those below are services'. */
const translatedPort = z.int().min(1024).max(0xffff);

export const fileSchema = z.strictObject({
  cluster: z.string().regex(/^[a-z0-9-]{1,32}$/),
  keyFile: z.string().min(1),
  node: nodeId.optional(),
  // The bounds are those of the timers; deriveTimers refuses what they cannot meet, with the arithmetic.
  failoverTarget_ms: z.number().default(DEFAULTS.failoverTarget_ms),
  quorum: z.enum(QUORUM_NAMES).default(DEFAULTS.quorum),
  tieBreaker: nodeId.optional(),
  rejoin: z.boolean().default(DEFAULTS.rejoin),
  keepConnections: z.boolean().default(DEFAULTS.keepConnections),
  assignment: z.enum(ASSIGNMENTS).default(DEFAULTS.assignment),
  stickiness: z.enum(STICKINESS).default(DEFAULTS.stickiness),
  services: z
    .array(
      z.strictObject({
        address: anyAddress,
        protocol: z.enum(SERVICE_PROTOCOLS).optional(),
        port: port.optional(),
        assignment: z.enum(ASSIGNMENTS).optional(),
        stickiness: z.enum(STICKINESS).optional(),
      }),
    )
    .default([]),
  portRanges: z.array(z.strictObject({ address: anyAddress, first: translatedPort, last: translatedPort })).default([]),
  backend: z.enum(BACKENDS).default(DEFAULTS.backend),
  nodes: z.array(
    z.strictObject({
      id: nodeId,
      name: z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,31}$/),
      addresses: z.strictObject({ external: address, internal: address }),
      weight: z.int().min(1).max(NODE_WEIGHT_MAX).default(DEFAULTS.weight),
    }),
  ),
  segments: z.strictObject({ external: segment, internal: segment }),
  vips: z.array(
    z.strictObject({
      address: anyAddress,
      segment: segmentName,
      preferredHost: z.int().min(0).max(0xffff).default(DEFAULTS.preferredHost),
      persistence: z.literal([0, 1, 3]).default(DEFAULTS.persistence),
    }),
  ),
  ring: z
    .strictObject({
      segments: z
        .array(segmentName)
        .min(1)
        .max(2)
        .default([...DEFAULTS.ringSegments]),
      port: z.int().min(1024).max(0xffff).default(DEFAULTS.ringPort),
    })
    .prefault({}),
  stateDir: z.string().min(1).default(DEFAULTS.stateDir),
  logLevel: z.enum(LOG_LEVELS).default(DEFAULTS.logLevel),
});

export type FileConfig = z.infer<typeof fileSchema>;
export type FileIssue = z.core.$ZodIssue;
