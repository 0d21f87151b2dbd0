// Users of the shared carriages: they change a few names, sometimes on stale knowledge.
import { SharedCarriages } from "../../../lib/raincore/carriages/sharedCarriages.js";
import type { TokenModule } from "../../../lib/raincore/types.js";
import type { CarriageHistory } from "../checkers/carriages.js";
import type { SimNode } from "../node.js";
import type { Load } from "../plan.js";
import type { Random } from "../random.js";
import type { Probe, UserGroup } from "./users.js";

const NAMES: readonly string[] = ["x-red", "x-green", "x-blue"];
const PROBE_NAME = "x-probe";

interface Client {
  readonly shared: SharedCarriages;
  readonly life: number;
  readonly versions: Map<string, number>;
  /** Updates that are not settled: which version of which name they want to follow. */
  readonly open: Map<number, { readonly name: string; readonly ifVersion: number }>;
}

export class CarriageUsers implements UserGroup {
  readonly #checker: CarriageHistory;
  readonly #clients = new Map<number, Client>();
  #changes = 0;
  readonly work = { carriages_asked: 0, carriages_done: 0, carriages_refused: 0 };

  constructor(checker: CarriageHistory) {
    this.#checker = checker;
  }

  every_ms(load: Load): number {
    return load.carriageEvery_ms;
  }

  modulesOf(node: SimNode): readonly TokenModule[] {
    const { life, nodeId } = node;
    const versions = new Map<string, number>();
    const before = new Map<string, number>();
    const open: Client["open"] = new Map();
    const shared = new SharedCarriages({
      self: nodeId,
      onChange: (name, version, bytes) => {
        if (node.life !== life) return;
        before.set(name, versions.get(name) ?? 0);
        versions.set(name, bytes === undefined ? 0 : version);
        this.#checker.changed(node, name, version, bytes);
      },
      onSettled: (id, result) => {
        const asked = open.get(id);
        open.delete(id);
        if (result.ok && asked !== undefined && node.life === life)
          this.#checker.changedFrom(node, asked, before.get(asked.name) ?? 0);
        if (result.ok) this.work.carriages_done += 1;
        else this.work.carriages_refused += 1;
      },
    });
    this.#clients.set(nodeId, { shared, life, versions, open });
    return [shared];
  }

  operate(node: SimNode, random: Random): void {
    const client = this.#clients.get(node.nodeId);
    if (client === undefined) return;
    const name = random.pick(NAMES);
    const known = client.versions.get(name) ?? 0;
    this.#update(node, client, name, random.chance(0.1) ? known + 1 : known);
  }

  beganAnew(node: SimNode): void {
    this.#checker.beganAnew(node);
    this.#clients.get(node.nodeId)?.versions.clear();
  }

  /** One more change reaches every node, and then all have the same. */
  probe(core: readonly SimNode[]): Probe {
    const first = core[0];
    const client = first === undefined ? undefined : this.#clients.get(first.nodeId);
    if (first === undefined || client === undefined) return { isDone: () => true, describe: () => "" };
    const before = client.versions.get(PROBE_NAME) ?? 0;
    this.#update(first, client, PROBE_NAME, before);
    const missing = () =>
      core.filter((node) => (this.#clients.get(node.nodeId)?.versions.get(PROBE_NAME) ?? 0) <= before);
    const unsettled = () => core.filter((node) => (this.#clients.get(node.nodeId)?.open.size ?? 0) > 0);
    let isDone = false;
    return {
      isDone: () => {
        if (isDone || missing().length > 0 || unsettled().length > 0) return isDone;
        this.#checker.checkAgreement(core);
        isDone = true;
        return true;
      },
      describe: () =>
        `a change of a carriage did not reach nodes ${missing()
          .map((node) => node.nodeId)
          .join(",")}, ` +
        `changes are not settled at nodes ${unsettled()
          .map((node) => node.nodeId)
          .join(",")}`,
    };
  }

  #update(node: SimNode, client: Client, name: string, ifVersion: number): void {
    this.work.carriages_asked += 1;
    this.#changes += 1;
    const id = client.shared.update(name, ifVersion, new TextEncoder().encode(`${node.nodeId}.${this.#changes}`));
    if (id !== undefined) client.open.set(id, { name, ifVersion });
    node.wake();
  }
}
