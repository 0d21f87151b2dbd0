// The connections of one phase of `symmetry`, from every host that opens some: from the client, or from the servers. Which hosts and targets follows from what
// the firewalls translate.

import type { Host } from "./host.js";
import type { Lab } from "./lab.js";
import { LoadDriver } from "./loadDriver.js";
import { FIRST_SOURCE_PORT, LAST_SOURCE_PORT, type RequestResult } from "./loadProtocol.js";
import { NATS, type Nat, OPENED_FROM } from "./translation.js";

export interface Caller {
  readonly host: Host;
  readonly sources: readonly string[];
}

export function callersOf({ plan, client, servers }: Lab, nat: Nat): readonly Caller[] {
  return OPENED_FROM[nat] === "outside"
    ? [{ host: client, sources: plan.clientAddresses }]
    : servers.map((server) => ({ host: server.host, sources: server.plan.addresses }));
}

export function targetsOf({ plan }: Lab, nat: Nat): readonly string[] {
  switch (nat) {
    case "none":
      return plan.servers.flatMap((server) => server.addresses);
    case "dnat":
      return plan.vips.external;
    case "masquerade":
    case "snat":
    case "ports":
      return plan.clientAddresses;
  }
}

/** Opens so many HTTP connections, no more than `concurrency` at once. Source ports differ from those of the other translations. */
export async function callHttp(lab: Lab, nat: Nat, total: number, concurrency: number): Promise<RequestResult[]> {
  if (OPENED_FROM[nat] === "inside") await lab.serveFromClient();
  const portsOfOne = Math.floor((LAST_SOURCE_PORT - FIRST_SOURCE_PORT + 1) / NATS.length);
  const firstPort = FIRST_SOURCE_PORT + NATS.indexOf(nat) * portsOfOne;
  const targets = targetsOf(lab, nat);
  const drivers = callersOf(lab, nat).map(({ host, sources }) => new LoadDriver(host, sources, targets, firstPort));
  try {
    const totals = inShares(total, drivers.length);
    const atOnce = inShares(Math.max(concurrency, drivers.length), drivers.length);
    await Promise.all(drivers.map((driver, index) => driver.count(totals[index] ?? 0, atOnce[index] ?? 1)));
    return drivers.flatMap((driver) => driver.takeResults());
  } finally {
    for (const driver of drivers) driver.close();
  }
}

/** Whole numbers that differ by one at most. */
export function inShares(total: number, shares: number): number[] {
  return Array.from({ length: shares }, (_, index) => Math.floor((total + index) / shares));
}
