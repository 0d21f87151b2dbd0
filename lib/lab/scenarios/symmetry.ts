// symmetry: many TCP connections from several client addresses to all servers over all VIPs. Promise: every one succeeds, each
// is known to exactly one gateway's firewall, and no firewall sees a packet that it cannot assign.

import { connectionKey, readConntrack, tablesPerConnection } from "../conntrack.js";
import { DataPlaneTotals } from "../dataPlaneTotals.js";
import { Membership } from "../membership.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { now_ms } from "../waiting.js";

const CONCURRENCY = 64;

export async function symmetry({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const { connections } = options;
  const promises = new Promises();
  lab.resetTesters();
  const invalidBefore = await lab.invalidPackets();
  const dataPlane = await DataPlaneTotals.since(lab);
  const membership = await Membership.since(lab);
  say(`opening ${connections} connections`);
  const begin_ms = now_ms();
  await lab.load.count(connections, CONCURRENCY);
  const took_ms = now_ms() - begin_ms;
  const results = lab.load.takeResults();
  const failed = results.filter((result) => result.error !== undefined);

  const tables = await Promise.all(lab.gateways.map((gateway) => readConntrack(gateway.host)));
  const homes = tablesPerConnection(tables);
  const known = results.map((result) => homes.get(connectionKey(result)) ?? 0);
  const onOne = known.filter((count) => count === 1).length;
  const invalid = (await lab.invalidPackets()) - invalidBefore;
  const owners = new OwnershipTotals();
  owners.add(await lab.observe());

  promises.expect(results.length === connections, `${results.length} of ${connections} connections have a result`);
  promises.expect(failed.length === 0, `${failed.length} connections failed, the first by ${failed[0]?.error}`);
  promises.expect(onOne === connections, `${onOne} of ${connections} connections are on exactly one gateway`);
  promises.expect(invalid === 0, `the firewalls counted ${invalid} invalid packets`);
  owners.promise(promises);
  const ours = new Set(results.map(connectionKey));
  return {
    broken: promises.broken,
    figures: {
      connections,
      failed: failed.length,
      on_one_node: onOne,
      on_no_node: known.filter((count) => count === 0).length,
      on_several_nodes: known.filter((count) => count > 1).length,
      invalid,
      per_node: Object.fromEntries(
        lab.gateways.map((gateway, index) => [
          gateway.plan.name,
          tables[index]?.filter((connection) => ours.has(connectionKey(connection))).length ?? 0,
        ]),
      ),
      ...(await dataPlane.figures()),
      ...(await membership.take()),
      errors: tally(failed.map((result) => result.error ?? "")),
      connections_per_s: Math.round(connections / (took_ms / 1000)),
      ...owners.figures(),
    },
  };
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
