// The part of a gateway that lives in the ring's thread: the VIP table and the native data plane, which must know of a token, a view or a
// lease before the token goes on. Loaded by the ring's thread; daemon.ts talks to it by the methods below.
import { randomBytes } from "node:crypto";
import type { MoveParams } from "../api/controlProtocol.js";
import type { Config } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import { loadNative, type PortBackend } from "../native.js";
import type { RaincoreState, TokenModule, View } from "../raincore/types.js";
import type { PluginHost, SessionPlugin } from "../session/plugin.js";
import { SharedSecret } from "../steering/sharedSecret.js";
import { VipModule } from "../vip/vipTable.js";
import { DataPlane } from "./dataPlane.js";
import { describeGateway } from "./status.js";

export interface GatewayPluginData {
  readonly config: Config;
  /** What the configuration's comes to on this machine. */
  readonly backend: PortBackend;
  readonly startedAt_ms: number;
}

/** What it emits. */
export type GatewayEvent =
  | {
      readonly type: "view";
      readonly epoch: number;
      readonly members: readonly number[];
      readonly ready: readonly number[];
    }
  /** It must not serve: these nodes have another key. */
  | { readonly type: "keyMismatch"; readonly nodes: readonly number[] }
  /** It serves no more: the data plane did not take who owns what. */
  | { readonly type: "dataPlaneFailed"; readonly why: string };

export function createPlugin(host: PluginHost, data: unknown): SessionPlugin {
  return new GatewayPlugin(host, data as GatewayPluginData);
}

class GatewayPlugin implements SessionPlugin {
  readonly modules: readonly TokenModule[];
  readonly #host: PluginHost;
  readonly #config: Config;
  readonly #startedAt_ms: number;
  readonly #dataPlane: DataPlane;
  readonly #vips: VipModule;
  #leaseUntil_ms = 0;
  #hadLease = false;
  #refuses = false;
  #readyKey = "";
  #mergedEpoch = 0;

  constructor(host: PluginHost, { config, backend, startedAt_ms }: GatewayPluginData) {
    this.#host = host;
    this.#config = config;
    this.#startedAt_ms = startedAt_ms;
    this.#dataPlane = new DataPlane(config, backend, loadNative());
    this.#vips = new VipModule({ self: config.node.id, vips: config.vips, onChange: () => this.#applyAnswers() });
    const secret = new SharedSecret({ random: randomBytes, onChange: (key) => this.#dataPlane.setHashKey(key) });
    this.modules = [secret, this.#vips];
  }

  onView(view: View): void {
    const members = view.members.map(({ nodeId }) => nodeId);
    const ready = view.members.filter((member) => member.ready).map(({ nodeId }) => nodeId);
    const key = `${view.quorate}/${members.join()}/${ready.join()}`;
    if (key === this.#readyKey) return;
    this.#readyKey = key;
    this.#dataPlane.setView(members, view.quorate ? ready : []);
    this.#host.emit({ type: "view", epoch: view.epoch, members, ready } satisfies GatewayEvent);
    if (view.epoch > this.#mergedEpoch) {
      // Neighbours may have heard another owner while the group was different: say again who is where.
      this.#mergedEpoch = view.epoch;
      this.#dataPlane.announceAgain();
    }
  }

  onLease(until_ms: number): void {
    if (!this.#hadLease && until_ms > this.#host.now_ms()) {
      this.#hadLease = true;
      this.#refuseForeignKey();
    }
    if (this.#refuses) return;
    this.#leaseUntil_ms = until_ms;
    this.#dataPlane.setLease(until_ms);
  }

  onState(state: RaincoreState): void {
    if (state === "member") return;
    this.#readyKey = "";
    this.#dataPlane.setView([], []);
  }

  call(method: string, params: unknown): unknown {
    switch (method) {
      case "status":
        return describeGateway({
          config: this.#config,
          now_ms: this.#host.now_ms(),
          startedAt_ms: this.#startedAt_ms,
          leaseUntil_ms: this.#leaseUntil_ms,
          ring: this.#host.status(),
          ringCounters: this.#host.networkCounters(),
          vips: this.#vips,
          backend: this.#dataPlane.mode(),
          ports: this.#dataPlane.counters(),
        });
      case "move":
        this.#move(params as MoveParams);
        return undefined;
      default:
        throw new Error(`a gateway has no method ${method}`);
    }
  }

  close(): void {
    this.#dataPlane.close();
  }

  #applyAnswers(): void {
    try {
      if (this.#dataPlane.setAnswers(this.#vips.answers)) return;
    } catch (error) {
      // Whatever it has taken of it, nothing is answered or steered without a lease.
      this.#refuses = true;
      this.#dataPlane.setLease(0);
      this.#host.emit({ type: "dataPlaneFailed", why: String(error) } satisfies GatewayEvent);
      return;
    }
    // The new list is in force for every frame from now on. What is not confirmed is one frame: the port's thread was put aside by the
    // scheduler while it dealt with it. Waiting longer would cost the token, which all VIPs depend on.
    this.#host.log("warn", "gateway_answers_unconfirmed", {});
  }

  /**
   * At the first lease: about to serve alone, though a configured node sends datagrams that do not open. Rather not serve than be a
   * second owner. Only then: once this node serves, a forged datagram must not be able to stop it.
   */
  #refuseForeignKey(): void {
    const nodes = this.#host.suspectedKeyMismatch();
    if (this.#host.status().members.length > 1 || nodes.length === 0) return;
    this.#refuses = true;
    this.#host.emit({ type: "keyMismatch", nodes } satisfies GatewayEvent);
  }

  #move({ vip, node }: MoveParams): void {
    const ready = this.#host.status().members.some((member) => member.nodeId === node && member.ready);
    if (!ready) {
      throw new RainfrontError("RF_NODE_NOT_READY", `node ${node} is not a ready member now`, {
        fix: "see `rainfront status`, start the node or choose another",
      });
    }
    if (!this.#vips.requestMove(vip, node)) {
      throw new RainfrontError("RF_VIP_UNKNOWN", `there is no VIP ${vip}`, { fix: "name a VIP of the configuration" });
    }
    this.#host.wake();
  }
}
