// symmetry: many TCP connections from several addresses to several targets over all VIPs, with each translation of addresses that was asked for. Promise:
// every one succeeds, each is known to exactly one gateway's firewall and translated as it should be, and no firewall sees a packet that it cannot assign or has
// to refuse.

import { setTimeout as delay } from "node:timers/promises";
import { callHttp } from "../calls.js";
import { type Connection, connectionKey, forgetConnections, readConntrack, tablesPerConnection } from "../conntrack.js";
import { DataPlaneTotals } from "../dataPlaneTotals.js";
import type { Lab } from "../lab.js";
import { Membership } from "../membership.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { CLIENT_SUBNET, SUBNETS6 } from "../plan.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { isTranslated, type Nat } from "../translation.js";
import { now_ms } from "../waiting.js";
import { FtpPhases } from "./symmetryFtp.js";

const CONCURRENCY = 64;
/** So long a connection that has ended stays in the firewalls' tables: until they are read, however slow the machine is. */
const ENDED_STAY_S = 1200;
/** Nothing comes behind these. */
const ENDED = ["TIME_WAIT", "CLOSE"];
const ENDING_MS = 5_000;
const ENDING_POLL_MS = 100;
const ENDED_STATES = ["time_wait", "close", "close_wait", "last_ack", "fin_wait"];

export async function symmetry({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const { connections, ftp } = options;
  const promises = new Promises();
  await Promise.all(lab.gateways.map(({ host }) => host.sysctl(ENDED_STAY)));
  const transfers = new FtpPhases(lab);
  const phases: [Nat, Record<string, unknown>][] = [];
  for (const nat of options.nats) {
    const phase = new Promises();
    await lab.setFirewalls({ nat, ftp });
    say(`opening ${connections} connections${nat === "none" ? "" : `, ${nat}`}${ftp ? ", FTP" : ""}`);
    const open = () => (ftp ? transfers.run(nat, connections, phase) : connectionsOf(lab, nat, connections, phase));
    phases.push([nat, await watched(lab, phase, open)]);
    for (const broken of phase.broken) promises.expect(false, options.nats.length > 1 ? `${nat}: ${broken}` : broken);
    for (const subnet of [CLIENT_SUBNET, SUBNETS6.client]) {
      await Promise.all(lab.gateways.map(({ host }) => forgetConnections(host, subnet)));
    }
  }
  const [[nat, figures] = ["none", {}]] = phases;
  return {
    broken: promises.broken,
    figures: phases.length === 1 ? { nat, ...figures } : { phases: Object.fromEntries(phases) },
  };
}

const ENDED_STAY = Object.fromEntries(
  ENDED_STATES.map((state) => [`net/netfilter/nf_conntrack_tcp_timeout_${state}`, ENDED_STAY_S]),
);

/** What is promised whatever the connections are: no packet that a firewall cannot assign or has to refuse, one owner per VIP. */
async function watched(
  lab: Lab,
  promises: Promises,
  open: () => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  lab.resetTesters();
  const before = await lab.firewallPackets();
  const dataPlane = await DataPlaneTotals.since(lab);
  const membership = await Membership.since(lab);
  const figures = await open();
  const unended = await connectionsEnd(lab);
  const after = await lab.firewallPackets();
  const owners = new OwnershipTotals();
  owners.add(await lab.observe());
  const invalid = after.invalid - before.invalid;
  const refused = after.refused - before.refused;
  promises.expect(invalid === 0, `the firewalls counted ${invalid} invalid packets`);
  promises.expect(unended === 0, `${unended} connections had not ended ${ENDING_MS} ms behind their last request`);
  promises.expect(refused === 0, `the firewalls refused ${refused} beginnings of connections`);
  owners.promise(promises);
  return {
    ...figures,
    unended,
    invalid,
    refused,
    ...(await dataPlane.figures()),
    ...(await membership.take()),
    ...owners.figures(),
  };
}

/**
 * The firewalls forget all connections behind a phase: of one that has not ended yet the last packets would be nobody's, and be counted in the next phase. How many have not ended by the
 * time that such packets are sent again in.
 */
async function connectionsEnd({ gateways, plan }: Lab): Promise<number> {
  const end_ms = now_ms() + ENDING_MS;
  for (;;) {
    const tables = await Promise.all(gateways.map(({ host }) => readConntrack(host)));
    const ours = tables
      .flat()
      .filter(({ source, target }) => [source, target].some((one) => plan.clientAddresses.includes(one)));
    const unended = ours.filter(({ state }) => !ENDED.includes(state)).length;
    if (unended === 0 || now_ms() > end_ms) return unended;
    await delay(ENDING_POLL_MS);
  }
}

/** Each with one HTTP request. */
async function connectionsOf(
  lab: Lab,
  nat: Nat,
  connections: number,
  promises: Promises,
): Promise<Record<string, unknown>> {
  const begin_ms = now_ms();
  const results = await callHttp(lab, nat, connections, CONCURRENCY);
  const took_ms = now_ms() - begin_ms;
  const failed = results.filter((result) => result.error !== undefined);

  const ours = new Set(results.map(connectionKey));
  const tables = (await Promise.all(lab.gateways.map((gateway) => readConntrack(gateway.host)))).map((table) =>
    table.filter((connection) => ours.has(connectionKey(connection))),
  );
  const homes = tablesPerConnection(tables);
  const known = results.map((result) => homes.get(connectionKey(result)) ?? 0);
  const onOne = known.filter((count) => count === 1).length;
  const otherwise = mistranslated(lab, nat, tables);

  promises.expect(results.length === connections, `${results.length} of ${connections} connections have a result`);
  promises.expect(failed.length === 0, `${failed.length} connections failed, the first by ${failed[0]?.error}`);
  promises.expect(onOne === connections, `${onOne} of ${connections} connections are on exactly one gateway`);
  const [first] = otherwise;
  promises.expect(
    first === undefined,
    `${otherwise.length} connections are not translated as they should be, the first: ${JSON.stringify(first)}`,
  );
  return {
    connections,
    failed: failed.length,
    on_one_node: onOne,
    on_no_node: known.filter((count) => count === 0).length,
    on_several_nodes: known.filter((count) => count > 1).length,
    mistranslated: otherwise.length,
    per_node: Object.fromEntries(lab.gateways.map((gateway, index) => [gateway.plan.name, tables[index]?.length ?? 0])),
    errors: tally(failed.map((result) => result.error ?? "")),
    connections_per_s: Math.round(connections / (took_ms / 1000)),
  };
}

function mistranslated({ gateways, plan }: Lab, nat: Nat, tables: readonly (readonly Connection[])[]): Connection[] {
  return gateways.flatMap((gateway, index) =>
    (tables[index] ?? []).filter((connection) => !isTranslated(connection, nat, plan, gateway.plan)),
  );
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
