// rejoin: each round kills a gateway and revives it. Promise: it owns VIPs again, a VIP never has two owners, and no request that is
// begun once it is a ready member fails, although the spreading of the VIPs goes on.

import { waitForCluster } from "../cluster.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { LoadedRounds, QUIET_MS } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, waitForTakeover } from "../takeover.js";
import { measureFor, now_ms } from "../waiting.js";

export async function rejoin({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const ready_ms: number[] = [];
  let ownsAgain = 0;
  const rounds = await LoadedRounds.begin(lab);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = rounds.victim(round);
    lab.resetTesters();
    await rounds.settle();
    const killed_ms = now_ms();
    await gateway.kill();
    rounds.note("takeover", killed_ms, await waitForTakeover(lab, killed_ms));

    await rounds.settle();
    const revived_ms = now_ms();
    await gateway.revive();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS });
    ready_ms.push(now_ms() - revived_ms);
    rounds.note("rejoin", revived_ms);
    const statuses = await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    const own =
      statuses.find((status) => status.node.id === gateway.plan.id)?.vips.filter((vip) => vip.answering).length ?? 0;
    if (own > 0) ownsAgain++;
    await measureFor(QUIET_MS);
    await rounds.stops.take_ms();
    owners.add(await lab.observe());
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} ready ${ready_ms.at(-1)?.toFixed(0)} ms after its start, owns ${own} VIPs`,
    );
  }
  const requests = await rounds.end(promises);
  promises.expect(ownsAgain === options.rounds, `it owned VIPs again in ${ownsAgain} of ${options.rounds} rounds`);
  owners.promise(promises);
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      rounds: options.rounds,
      owns_again: ownsAgain,
      ready_ms: spreadOf(ready_ms),
      stood_still_ms_max: rounded(rounds.stops.longest_ms),
      ...owners.figures(),
      requests,
    },
  };
}
