// Shared carriages: within a view one version of a name has the same bytes everywhere, versions only grow at a node, and
// once the cluster is whole all members have the same.
import type { SimNode } from "../node.js";
import type { Watched } from "./checker.js";

interface Value {
  readonly version: number;
  readonly text: string;
}

export class CarriageHistory {
  readonly #watched: Watched;
  /** View, name and version → what it was. */
  readonly #values = new Map<string, { readonly text: string; readonly node: number; readonly at_ms: number }>();
  readonly #current = new Map<SimNode, Map<string, Value>>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  changed(node: SimNode, name: string, version: number, bytes: Uint8Array | undefined): void {
    const current = this.#currentOf(node);
    if (bytes === undefined) {
      current.delete(name);
      return;
    }
    const text = Buffer.from(bytes).toString("hex");
    const { epoch, origin } = node.visiting ?? { epoch: 0, origin: 0 };
    const before = current.get(name)?.version ?? 0;
    if (version <= before) this.#violate(`node ${node.nodeId} saw ${name} go from version ${before} to ${version}`);
    current.set(name, { version, text });
    const key = `${epoch}/${origin} ${name} ${version}`;
    const known = this.#values.get(key);
    if (known === undefined || this.#mayBeNamedAgain(origin, known.at_ms))
      this.#values.set(key, { text, node: node.nodeId, at_ms: this.#watched.now_ms() });
    else if (known.text !== text) this.#violate(`nodes ${node.nodeId} and ${known.node} saw different bytes as ${key}`);
  }

  /** An update is done; it has just been reported to its node, which knew the name at `before` until then. */
  changedFrom(node: SimNode, asked: { readonly name: string; readonly ifVersion: number }, before: number): void {
    if (asked.ifVersion === before) return;
    this.#violate(
      `node ${node.nodeId} changed ${asked.name} at version ${before}, and wanted to at ${asked.ifVersion}`,
    );
  }

  beganAnew(node: SimNode): void {
    this.#current.delete(node);
  }

  /** The cluster is whole and idle. */
  checkAgreement(nodes: readonly SimNode[]): void {
    const [first, ...others] = nodes;
    if (first === undefined) return;
    const wanted = JSON.stringify([...this.#currentOf(first)].sort());
    for (const node of others) {
      const has = JSON.stringify([...this.#currentOf(node)].sort());
      if (has !== wanted)
        this.#violate(`nodes ${first.nodeId} and ${node.nodeId} have different carriages: ${wanted} and ${has}`);
    }
  }

  /** A life whose clock was set back may give a view the name of one of an earlier life (see multicast.ts). */
  #mayBeNamedAgain(origin: number, before_ms: number): boolean {
    const { setBack_ms = Number.NEGATIVE_INFINITY } = this.#watched.nodes.find(({ nodeId }) => nodeId === origin) ?? {};
    return before_ms < setBack_ms;
  }

  #currentOf(node: SimNode): Map<string, Value> {
    let current = this.#current.get(node);
    if (current === undefined) {
      current = new Map();
      this.#current.set(node, current);
    }
    return current;
  }

  #violate(what: string): void {
    this.#watched.report("carriages", what);
  }
}
