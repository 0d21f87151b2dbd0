// symmetry --ftp: transfers whose data connections belong to the control connection, in one phase after another. Promise: every transfer arrives whole, and both of its
// connections are known to one and the same gateway's firewall, which lets data connections through only where a control connection announced them.

import type { AddressFamily } from "../../config/address.js";
import { callersOf, targetsOf } from "../calls.js";
import { type Connection, readConntrack } from "../conntrack.js";
import { FtpClients, startFtp, type TransferResult } from "../ftp.js";
import type { Host } from "../host.js";
import type { Lab } from "../lab.js";
import type { Programs } from "../programs.js";
import type { Promises } from "../scenario.js";
import { isOnOneNode, type Sighting, sightings } from "../transfers.js";
import { isTranslated, type Nat, OPENED_FROM } from "../translation.js";
import { now_ms } from "../waiting.js";

interface FtpServer {
  readonly addresses: readonly string[];
  readonly hash: string;
}

export class FtpPhases {
  readonly #lab: Lab;
  readonly #clients = new FtpClients();
  readonly #servers = new Map<Host, FtpServer>();

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Two connections are a transfer. */
  async run(nat: Nat, connections: number, promises: Promises): Promise<Record<string, unknown>> {
    const lab = this.#lab;
    await this.#serve(nat, lab.plan.families);
    const total = Math.ceil(connections / 2);
    const begin_ms = now_ms();
    const results = await this.#clients.transfer(callersOf(lab, nat), targetsOf(lab, nat), total);
    const took_ms = now_ms() - begin_ms;
    const tables = await Promise.all(lab.gateways.map((gateway) => readConntrack(gateway.host)));
    const seen = sightings(results, tables);

    const failed = results.filter((result) => this.#fault(result, nat) !== undefined);
    const onOne = seen.filter(isOnOneNode).length;
    const otherwise = this.#mistranslated(nat, seen);
    this.#keepOdd(nat, results, seen, tables);
    const [first] = failed;
    promises.expect(results.length === total, `${results.length} of ${total} transfers have a result`);
    promises.expect(
      first === undefined,
      `${failed.length} transfers failed, the first by ${first && this.#fault(first, nat)}`,
    );
    promises.expect(onOne === total, `${onOne} of ${total} transfers have both connections on exactly one gateway`);
    promises.expect(
      otherwise.length === 0,
      `${otherwise.length} control connections are not translated as they should be`,
    );
    return {
      transfers: total,
      failed: failed.length,
      on_one_node: onOne,
      on_no_node: seen.filter(({ gateways }) => gateways.length === 0).length,
      on_several_nodes: seen.filter(({ gateways }) => gateways.length > 1).length,
      mistranslated: otherwise.length,
      per_node: Object.fromEntries(
        lab.gateways.map((gateway, index) => [
          gateway.plan.name,
          seen.filter(({ gateways }) => gateways.includes(index)).length,
        ]),
      ),
      by_command: this.#byCommand(results, nat),
      transfers_per_s: Math.round(total / (took_ms / 1000)),
    };
  }

  /** Starts what is called in this phase, and was in none before. */
  async #serve(nat: Nat, families: readonly AddressFamily[]): Promise<void> {
    const { servers, client, clientPrograms, plan } = this.#lab;
    const start = async (host: Host, programs: Programs, addresses: readonly string[]) => {
      if (this.#servers.has(host)) return;
      this.#servers.set(host, { addresses, hash: await startFtp(host, programs, families) });
    };
    if (OPENED_FROM[nat] === "inside") await start(client, clientPrograms, plan.clientAddresses);
    else await Promise.all(servers.map((server) => start(server.host, server.programs, server.plan.addresses)));
  }

  /** For whoever wants to know why: each transfer that was not as promised, with what the gateways knew of its client's ports. */
  #keepOdd(
    nat: Nat,
    results: readonly TransferResult[],
    seen: readonly Sighting[],
    tables: readonly (readonly Connection[])[],
  ): void {
    const odd = results
      .map((result, index) => ({ result, sighting: seen[index] as Sighting }))
      .filter(({ result, sighting }) => this.#fault(result, nat) !== undefined || !isOnOneNode(sighting));
    if (odd.length > 0) this.#lab.keep(`odd-transfers-${nat}`, { odd, tables });
  }

  /** What is wrong with it, in words. Where the firewall chooses the server, what arrived may be any server's. */
  #fault({ error, hash, target, command }: TransferResult, nat: Nat): string | undefined {
    if (error !== undefined) return `${command}: ${error}`;
    const possible = [...this.#servers.values()].filter(
      ({ addresses }) => nat === "dnat" || addresses.includes(target),
    );
    return possible.some((server) => server.hash === hash) ? undefined : `${command}: other content`;
  }

  #mistranslated(nat: Nat, seen: readonly Sighting[]): Connection[] {
    const { gateways, plan } = this.#lab;
    return seen
      .flatMap(({ controls }) => controls)
      .filter(({ connection, gateway }) => {
        const known = gateways[gateway];
        return known === undefined || !isTranslated(connection, nat, plan, known.plan);
      })
      .map(({ connection }) => connection);
  }

  #byCommand(results: readonly TransferResult[], nat: Nat): Record<string, { ok: number; failed: number }> {
    const counts: Record<string, { ok: number; failed: number }> = {};
    for (const result of results) {
      const { ok, failed } = counts[result.command] ?? { ok: 0, failed: 0 };
      const isOk = this.#fault(result, nat) === undefined;
      counts[result.command] = { ok: ok + (isOk ? 1 : 0), failed: failed + (isOk ? 0 : 1) };
    }
    return counts;
  }
}
