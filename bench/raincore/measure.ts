// One system on one size of group: everything that is measured of it, at the fastest of its settings that is stable.

import type { Fabric } from "./fabric.js";
import { Group, type System } from "./group.js";
import { kills, type RestFigures, rest, type TrafficFigures, traffic } from "./workloads.js";

/** Ways of configuring one system, fastest failure detection first. The last one is measured even if it is not stable. */
export interface Contender {
  readonly name: string;
  readonly settings: readonly { readonly system: System; readonly setting: string }[];
  /** Kills, instead of the extent's: of a system that takes long for each. */
  readonly kills_max?: number;
}

export interface Extent {
  readonly payloads: readonly number[];
  readonly warmUp_s: number;
  readonly flood_s: number;
  readonly light_s: number;
  readonly rest_s: number;
  readonly restWarmUp_s: number;
  readonly kills: number;
}

export interface PayloadFigures {
  readonly bytes: number;
  readonly flood: TrafficFigures;
  readonly light: TrafficFigures;
}

export interface Measurement {
  readonly contender: string;
  readonly setting: string;
  readonly nodes: number;
  readonly rest: RestFigures;
  readonly payloads: readonly PayloadFigures[];
  readonly view_ms: readonly number[];
  /** Views without a cause, at rest and under load together, of the setting that was measured. */
  readonly unexpectedViews: number;
  /** Faster settings that had such views, or whose group fell apart under load. */
  readonly unstable: readonly string[];
}

/** A contender none of whose settings got through. */
export interface Failure {
  readonly contender: string;
  readonly nodes: number;
  readonly why: string;
}

const WINDOW_MESSAGES_MAX = 256;
const WINDOW_BYTES = 1024 * 1024;
/** Light load: one message of each node in that time. */
const LIGHT_INTERVAL_US = 10_000;

/** The same number of own messages on their way for all systems. */
function windowFor(bytes: number): number {
  return Math.min(WINDOW_MESSAGES_MAX, Math.floor(WINDOW_BYTES / bytes));
}

export async function measure(
  contender: Contender,
  fabric: Fabric,
  extent: Extent,
  progress: (what: string) => void,
): Promise<Measurement | Failure> {
  const nodes = fabric.nodes.length;
  const unstable: string[] = [];
  let why = "it has no settings";
  for (const [index, { system, setting }] of contender.settings.entries()) {
    progress(`${contender.name} (${setting}), ${nodes} nodes`);
    const options = {
      kills: Math.min(extent.kills, contender.kills_max ?? extent.kills),
      mayBeUnstable: index === contender.settings.length - 1,
    };
    // What the others have shown is not to be lost because one group fell apart.
    const result = await measureSetting(system, fabric, extent, options).catch(messageOf);
    if (typeof result !== "string") return { contender: contender.name, setting, nodes, ...result, unstable };
    why = `${setting}: ${result}`;
    progress(`no further: ${why}`);
    unstable.push(setting);
  }
  return { contender: contender.name, nodes, why };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const UNSTABLE = "the view changed without a cause";

type SettingFigures = Pick<Measurement, "rest" | "payloads" | "view_ms" | "unexpectedViews">;

async function measureSetting(
  system: System,
  fabric: Fabric,
  extent: Extent,
  options: { readonly kills: number; readonly mayBeUnstable: boolean },
): Promise<SettingFigures | typeof UNSTABLE> {
  const group = new Group(system, fabric);
  const isUnstable = (): boolean => group.unexpectedViews > 0 && !options.mayBeUnstable;
  try {
    await group.start();
    await flood(group, 1024, extent.warmUp_s);
    const atRest = await rest(group, extent.restWarmUp_s, extent.rest_s);
    if (isUnstable()) return UNSTABLE;
    const payloads: PayloadFigures[] = [];
    for (const bytes of extent.payloads) {
      await flood(group, bytes, extent.warmUp_s);
      const underFlood = await flood(group, bytes, extent.flood_s);
      const light = await traffic(group, bytes, {
        duration_ms: extent.light_s * 1000,
        window: windowFor(bytes),
        interval_us: LIGHT_INTERVAL_US,
      });
      if (isUnstable()) return UNSTABLE;
      payloads.push({ bytes, flood: underFlood, light });
    }
    const { unexpectedViews } = group;
    return { rest: atRest, payloads, view_ms: await kills(group, options.kills), unexpectedViews };
  } finally {
    group.stop();
  }
}

function flood(group: Group, bytes: number, seconds: number): Promise<TrafficFigures> {
  return traffic(group, bytes, { duration_ms: seconds * 1000, window: windowFor(bytes), interval_us: 0 });
}
