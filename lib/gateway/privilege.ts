// What this process may do. Used before anything is installed.

import { readFileSync } from "node:fs";
import { RainfrontError } from "../errors.js";

/** Bits of a capability set (linux/capability.h). */
const CAPABILITIES = { CAP_NET_ADMIN: 12n, CAP_NET_RAW: 13n, CAP_SYS_NICE: 23n } as const;
type Capability = keyof typeof CAPABILITIES;

export function hasCapability(name: Capability): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${effective}`) & (1n << CAPABILITIES[name])) !== 0n;
}

/** Throws `RF_NO_PRIVILEGE`. */
export function checkPrivilege(): void {
  for (const name of ["CAP_NET_ADMIN", "CAP_NET_RAW"] as const) {
    if (hasCapability(name)) continue;
    throw new RainfrontError("RF_NO_PRIVILEGE", `this process lacks ${name}`, {
      fix: "run as root, or give the service CAP_NET_ADMIN and CAP_NET_RAW",
    });
  }
}
