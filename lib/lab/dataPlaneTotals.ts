// What the data planes of all running gateways counted during a scenario: relayed frames and dropped ones by cause. Figures that
// explain a broken promise.

import type { GatewayStatus } from "../api/controlProtocol.js";
import type { Lab } from "./lab.js";

export interface DataPlaneFigures {
  readonly relayed: number;
  readonly dropped: Readonly<Record<string, number>>;
}

/** Sums a counter of every port of every gateway; pure. */
export function sumCounters(statuses: readonly GatewayStatus[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const status of statuses) {
    for (const counters of Object.values(status.ports)) {
      for (const [name, count] of Object.entries(counters)) sums.set(name, (sums.get(name) ?? 0) + count);
    }
  }
  return sums;
}

export class DataPlaneTotals {
  readonly #lab: Lab;
  readonly #before: ReadonlyMap<string, number>;

  private constructor(lab: Lab, statuses: readonly GatewayStatus[]) {
    this.#lab = lab;
    this.#before = sumCounters(statuses);
  }

  static async since(lab: Lab): Promise<DataPlaneTotals> {
    return new DataPlaneTotals(lab, await statusesOf(lab));
  }

  async figures(): Promise<DataPlaneFigures> {
    const statuses = await statusesOf(this.#lab);
    const grown = [...sumCounters(statuses)].map(([name, sum]) => [name, sum - (this.#before.get(name) ?? 0)] as const);
    return {
      relayed: grown.find(([name]) => name === "relay_out_frames")?.[1] ?? 0,
      dropped: Object.fromEntries(grown.filter(([name, growth]) => name.startsWith("drop_") && growth > 0)),
    };
  }
}

async function statusesOf(lab: Lab): Promise<readonly GatewayStatus[]> {
  if (lab.settings.backend === "none") return [];
  return Promise.all(lab.gateways.map((gateway) => gateway.status(5000)));
}
