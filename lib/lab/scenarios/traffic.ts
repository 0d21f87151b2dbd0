// traffic: HTTP requests and iperf3 streams to all servers through all gateways. Promise: no error, no packet that a firewall cannot
// assign, and nobody is taken out of the group under load.

import { DataPlaneTotals } from "../dataPlaneTotals.js";
import { iperf } from "../iperf.js";
import type { Lab } from "../lab.js";
import { Membership, promiseMembership } from "../membership.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { ofFamilyOf } from "../plan.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { Stops } from "../standstill.js";
import { rounded } from "../statistics.js";
import { silences } from "../takeover.js";
import { judgeRequests } from "../transitions.js";
import { now_ms } from "../waiting.js";

const REQUESTS = 3000;
const CONCURRENCY = 32;
const STREAMS_PER_SERVER = 2;
const IPERF_S = 5;

export async function traffic({ lab, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  const owners = new OwnershipTotals();
  await lab.startProbing();
  lab.resetTesters();
  const invalidBefore = await lab.invalidPackets();
  const dataPlane = await DataPlaneTotals.since(lab);
  const membership = await Membership.since(lab);
  const stops = await Stops.since(lab.standstill, lab.settings.failoverTarget_ms);

  say(`${REQUESTS} HTTP requests, ${CONCURRENCY} at once`);
  const begin_ms = now_ms();
  await lab.load.count(REQUESTS, CONCURRENCY);
  const http_s = (now_ms() - begin_ms) / 1000;
  const results = lab.load.takeResults();

  say(`iperf3 to every server for ${IPERF_S} s, then from every server`);
  const up = await goodput(lab, false);
  const down = await goodput(lab, true);

  const invalid = (await lab.invalidPackets()) - invalidBefore;
  const counted = await dataPlane.figures();
  const members = await membership.take();
  owners.add(await lab.observe());
  const { gaps_ms } = await silences(lab);
  await stops.take_ms();
  const errors = [...up.errors, ...down.errors];
  owners.promise(promises);
  promises.expect(results.length === REQUESTS, `only ${results.length} of ${REQUESTS} requests were made`);
  const requests = judgeRequests(results, [], (from_ms, to_ms) => stops.excuseFor(from_ms, to_ms));
  promises.expect(requests.ok > 0, "no request succeeded");
  promises.expect(
    requests.failed_after_takeover === 0,
    `${requests.failed_after_takeover} requests failed, the first by ${requests.quiet_failures[0]?.error}`,
  );
  if (requests.failed_at_standstill > 0) {
    promises.leaveOpen(`${requests.failed_at_standstill} requests failed`, requests.excuses.join("; "));
  }
  promises.expect(up.mbit_per_s > 0 && down.mbit_per_s > 0, "iperf3 carried nothing");
  // Of these it is not known when they came about.
  promises.excuse(stops.excuseFor(begin_ms, now_ms()));
  promises.expect(errors.length === 0, `iperf3 failed: ${errors[0]}`);
  promises.expect(invalid === 0, `the firewalls counted ${invalid} invalid packets`);
  promiseMembership(promises, members, "under load");
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      http: { ok: requests.ok, failed: results.length - requests.ok, per_s: Math.round(REQUESTS / http_s) },
      iperf3: { up_mbit_per_s: up.mbit_per_s, down_mbit_per_s: down.mbit_per_s, errors: errors.length },
      invalid,
      ...counted,
      ...members,
      longest_silence_ms: Math.max(...gaps_ms),
      stood_still_ms_max: rounded(stops.longest_ms),
      ...owners.figures(),
    },
  };
}

async function goodput(lab: Lab, isReverse: boolean): Promise<{ mbit_per_s: number; errors: string[] }> {
  const clients = lab.plan.servers.map(({ addresses }, index) => {
    // A server of iperf3 has one client at a time: with both families, every other one is of IPv6, and the others in the other direction.
    const address = addresses[(index + (isReverse ? 1 : 0)) % addresses.length] ?? "";
    const sources = ofFamilyOf(address, lab.plan.clientAddresses);
    const source = sources[index % sources.length] ?? "";
    return iperf(lab.client, { address, source, seconds: IPERF_S, streams: STREAMS_PER_SERVER, isReverse });
  });
  const reports = await Promise.all(clients);
  return {
    mbit_per_s: Math.round(reports.reduce((sum, { bits_per_s }) => sum + bits_per_s, 0) / 1e6),
    errors: reports.flatMap(({ error }) => (error === undefined ? [] : [error])),
  };
}
