// The part of a gateway that lives in the ring's thread: the VIP table and the native data plane, which must know of a token, a view or a
// lease before the token goes on. Loaded by the ring's thread; daemon.ts talks to it by the methods below.
import { randomBytes } from "node:crypto";
import type { AwayParams, DrainParams, MoveParams } from "../api/controlProtocol.js";
import type { Config, SegmentName } from "../config/config.js";
import type { Sharing } from "../conntrack/connectionKeeper.js";
import { RainfrontError } from "../errors.js";
import { type FlowExchange, loadNative, type PortBackend } from "../native.js";
import { isQuorate } from "../raincore/quorum.js";
import type { RaincoreState, TokenModule, View } from "../raincore/types.js";
import type { PluginHost, SessionPlugin } from "../session/plugin.js";
import { answerOfNone, FlowTalk } from "../steering/flowTalk.js";
import { loadMessage, readLoad } from "../steering/loads.js";
import { SharedSecret } from "../steering/sharedSecret.js";
import { Tenures } from "../steering/tenures.js";
import { type AbsenceOutcome, Absences } from "../vip/absences.js";
import { DRAINS_MAX, Drains } from "../vip/drains.js";
import { VipModule } from "../vip/vipTable.js";
import { DataPlane } from "./dataPlane.js";
import type { Steering } from "./flowInquiry.js";
import { describeGateway } from "./status.js";

/** The daemon answers who asked it to be away a little later, so that it does not go when it has said that it would not. */
const AWAY_PATIENCE_MS = 4_000;
const ATTACH_PATIENCE_MS = 2_000;

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
  /** By whom flows are handled from now on. */
  | ({ readonly type: "sharing"; readonly flows: number | undefined } & Sharing)
  /** Others are to take this node's connections, or not any more. */
  | { readonly type: "draining"; readonly isDraining: boolean }
  /** It must not serve: these nodes have another key. */
  | { readonly type: "keyMismatch"; readonly nodes: readonly number[] }
  /** What came of `away`. Agreed: the data plane goes on without this process from now on, and the process has to leave. */
  | { readonly type: "absence"; readonly outcome: AbsenceOutcome }
  /** Somebody had taken it off. */
  | { readonly type: "programBack"; readonly segment: SegmentName }
  /** It serves no more. `why` goes on after "the data plane". */
  | { readonly type: "dataPlaneFailed"; readonly why: string };

export function createPlugin(host: PluginHost, data: unknown): SessionPlugin {
  return new GatewayPlugin(host, data as GatewayPluginData);
}

class GatewayPlugin implements SessionPlugin {
  readonly modules: readonly TokenModule[];
  readonly #host: PluginHost;
  readonly #config: Config;
  readonly #startedAt_ms: number;
  readonly #backend: PortBackend;
  readonly #dataPlane: DataPlane;
  readonly #flowTalk: FlowTalk | undefined;
  readonly #tenures: Tenures;
  readonly #vips: VipModule;
  readonly #absences: Absences;
  readonly #drains: Drains;
  #isDraining = false;
  #view: View | undefined;
  /** Agreed with all others: the data plane goes on by itself, and this process has no say any more. */
  #isAway = false;
  #isClosed = false;
  #leaseUntil_ms = 0;
  #hadLease = false;
  #refuses = false;
  #readyKey = "";
  #handlers: Pick<Sharing, "members" | "ready" | "absent"> = { members: [], ready: [], absent: [] };
  #hashKey: Uint8Array | undefined;
  #mergedEpoch = 0;

  constructor(host: PluginHost, { config, backend, startedAt_ms }: GatewayPluginData) {
    this.#host = host;
    this.#config = config;
    this.#startedAt_ms = startedAt_ms;
    this.#backend = backend;
    this.#dataPlane = new DataPlane(config, backend, loadNative(), () => this.#onFlowsWaiting());
    this.#tenures = new Tenures(config.node.id, this.#dataPlane.heldSince(config.node.id));
    const { flows } = this.#dataPlane;
    if (flows !== undefined) this.#flowTalk = this.#talkOf(flows);
    const nodeIds = config.nodes.map(({ id }) => id);
    this.#absences = new Absences({
      self: config.node.id,
      nodeIds,
      isQuorate: (some) => isQuorate(config.quorum, some, nodeIds.length),
      needsEverybody: config.quorum.policy === "available",
      patience_ms: AWAY_PATIENCE_MS,
      isServing: () => !this.#refuses && this.#vips.isServing,
      onOutcome: (outcome) => this.#onAbsence(outcome),
      onChange: () => this.#steer(),
    });
    this.#drains = new Drains({ self: config.node.id, onChange: () => this.#onDrains() });
    this.#vips = new VipModule({
      self: config.node.id,
      vips: config.vips,
      absent: (now_ms) => this.#absences.remaining_ms(now_ms),
      returning: () => this.#absences.returning,
      recalled: () => this.#absences.recalled,
      draining: () => this.#drains.draining,
      onChange: () => this.#applyAnswers(),
    });
    const secret = new SharedSecret({ random: randomBytes, onChange: (key) => this.#onHashKey(key) });
    this.modules = [secret, this.#absences, this.#drains, this.#vips];
  }

  /** The addon may call once more behind `close`. */
  #onFlowsWaiting(): void {
    if (!this.#isClosed) this.#flowTalk?.wake();
  }

  #talkOf(exchange: FlowExchange): FlowTalk {
    return new FlowTalk({
      exchange,
      send: (node, bytes) => this.#host.send(node, bytes),
      after: (delay_ms, act) => void setTimeout(() => !this.#isClosed && act(), delay_ms).unref(),
    });
  }

  onMessage(from: number, bytes: Uint8Array): boolean {
    const busy = readLoad(bytes);
    if (busy !== undefined) {
      this.#dataPlane.hearLoad(from, busy, this.#host.now_ms());
      return true;
    }
    if (this.#flowTalk !== undefined) return this.#flowTalk.receive(from, bytes);
    const answer = answerOfNone(bytes);
    if (answer !== undefined) this.#host.send(from, answer);
    return answer !== undefined;
  }

  onView(view: View): void {
    this.#view = view;
    const isSelfReady = view.members.some(({ nodeId, ready }) => ready && nodeId === view.self);
    if (isSelfReady && this.#dataPlane.isHeld && !this.#isAway) this.#takeOver();
    this.#steer();
    if (view.epoch > this.#mergedEpoch) {
      // Neighbours may have heard another owner while the group was different: say again who is where.
      this.#mergedEpoch = view.epoch;
      this.#dataPlane.announceAgain();
    }
  }

  /** Those that are absent by agreement handle their flows as before. */
  #steer(): void {
    const view = this.#view;
    if (view === undefined) return;
    const absent = [...this.#absences.remaining_ms(this.#host.now_ms()).keys()];
    const members = union(
      view.members.map(({ nodeId }) => nodeId),
      absent,
    );
    const { draining } = this.#drains;
    const serving = view.members.filter((member) => member.ready).map(({ nodeId }) => nodeId);
    const portOwners = union(serving, absent);
    const ready = union(
      serving.filter((node) => !draining.has(node)),
      absent,
    );
    // Where a part of the group does not serve, the others take its flows.
    this.#tenures.become(view.quorate ? view.members : [], absent, view.epoch);
    const since = (node: number): number => this.#tenures.since(node);
    const { epoch, self } = view;
    const areAllHere = absent.every((node) => node === self);
    const flows = this.#flowTalk === undefined ? "" : `${epoch}/${areAllHere}/${members.map(since).join()}`;
    const key = [view.quorate, members, ready, portOwners, absent, flows].map(String).join("/");
    if (key === this.#readyKey) return;
    this.#readyKey = key;
    const shares = view.quorate ? { ready, portOwners } : { ready: [], portOwners: [] };
    this.#dataPlane.setView({ epoch, members, ...shares, since }, this.#host.now_ms());
    const here = view.members.map(({ nodeId }) => nodeId).filter((node) => node !== self);
    this.#flowTalk?.become(view.quorate ? here : undefined, areAllHere);
    this.#handlers = { members, ready: shares.ready, absent };
    this.#tellSharing();
    this.#host.emit({ type: "view", epoch: view.epoch, members, ready } satisfies GatewayEvent);
  }

  #onDrains(): void {
    this.#steer();
    const isDraining = this.#drains.draining.has(this.#config.node.id);
    if (isDraining === this.#isDraining) return;
    this.#isDraining = isDraining;
    this.#host.emit({ type: "draining", isDraining } satisfies GatewayEvent);
  }

  #onHashKey(key: Uint8Array | undefined): void {
    this.#hashKey = key;
    this.#dataPlane.setHashKey(key);
    this.#tellSharing();
  }

  /** A copy of the table for another thread, which the token waits for: only where somebody wants it. */
  #tellSharing(): void {
    if (!this.#config.keepConnections) return;
    const { slots, portRanges, flows } = this.#dataPlane;
    const sharing = { ...this.#handlers, slots, portRanges, hashKey: this.#hashKey };
    this.#host.emit({ type: "sharing", flows: flows?.handle, ...sharing } satisfies GatewayEvent);
  }

  /** A member with a lease of its own: what an earlier process of this node left goes on as this one says. */
  #takeOver(): void {
    this.#host.log("info", "gateway_took_over", {});
    this.#applyAnswers(() => this.#dataPlane.takeOver());
  }

  /** Before the token goes on: nobody hears of it sooner than the data plane. */
  #onAbsence(outcome: AbsenceOutcome): void {
    if (outcome.agreed) {
      this.#isAway = true;
      this.#dataPlane.holdUntil(outcome.until_ms);
    }
    this.#host.emit({ type: "absence", outcome } satisfies GatewayEvent);
  }

  onLease(until_ms: number): void {
    if (!this.#hadLease && until_ms > this.#host.now_ms()) {
      this.#hadLease = true;
      this.#refuseForeignKey();
    }
    if (this.#refuses) return;
    this.#leaseUntil_ms = until_ms;
    // Who gives its lease up asks for a place by the next datagram, and the others need not wait for an end that has come.
    if (!this.#dataPlane.setLease(until_ms)) this.#host.log("warn", "gateway_answers_unconfirmed", {});
  }

  onState(state: RaincoreState): void {
    if (state === "member") return;
    this.#view = undefined;
    this.#readyKey = "";
    this.#tenures.become([], [], 0);
    this.#dataPlane.setView(undefined, this.#host.now_ms());
    this.#flowTalk?.become(undefined, false);
    this.#handlers = { members: [], ready: [], absent: [] };
    this.#tellSharing();
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
          flows: this.#dataPlane.flowFigures(),
          drains: this.#drains.all,
        });
      case "steering":
        return this.#describeSteering();
      case "away":
        this.#goAway(params as AwayParams);
        return undefined;
      case "move":
        this.#move(params as MoveParams);
        return undefined;
      case "drain":
        this.#drain(params as DrainParams);
        return undefined;
      case "drained":
        this.#drains.setDone(this.#isDraining && !this.#ownsVips() && (params as { readonly isDone: boolean }).isDone);
        this.#host.wake();
        return undefined;
      case "load":
        this.#tellLoad((params as { readonly busy: number }).busy);
        return undefined;
      case "attachAgain":
        void this.#attachAgain(params as { readonly segment: SegmentName });
        return undefined;
      default:
        throw new Error(`a gateway has no method ${method}`);
    }
  }

  /** The others give this node flows by it. */
  #tellLoad(busy: number): void {
    const { members } = this.#host.status();
    const self = this.#config.node.id;
    const message = loadMessage(busy);
    for (const { nodeId } of members) if (nodeId !== self) this.#host.send(nodeId, message);
    this.#dataPlane.hearLoad(self, busy, this.#host.now_ms());
  }

  #describeSteering(): Steering {
    const { members, ready } = this.#handlers;
    const { slots, portRanges, flows } = this.#dataPlane;
    const authorities = { slots, portRanges, hashKey: this.#hashKey };
    return { epoch: this.#view?.epoch ?? 0, members, ready, ...authorities, flows: flows?.handle };
  }

  /** What goes on by what an earlier process said is not ended by the way: who wants it gone takes the programs off. */
  close(): void {
    this.#isClosed = true;
    if (this.#isAway || this.#dataPlane.isHeld) this.#dataPlane.leave();
    else this.#dataPlane.close();
  }

  #applyAnswers(apply = () => this.#dataPlane.setAnswers(this.#vips.answers)): void {
    try {
      if (apply()) return;
    } catch (error) {
      this.#failed(`did not take the VIPs: ${error}`);
      return;
    }
    // The new list is in force for every frame from now on. What is not confirmed is one frame: the port's thread was put aside by the
    // scheduler while it dealt with it. Waiting longer would cost the token, which all VIPs depend on.
    this.#host.log("warn", "gateway_answers_unconfirmed", {});
  }

  /** Nobody answers for this node's VIPs meanwhile: others have to, where the driver takes its time. */
  async #attachAgain({ segment }: { readonly segment: SegmentName }): Promise<void> {
    const why = `lost its XDP program on ${this.#config.segments[segment].interface}`;
    const patience = setTimeout(
      () => this.#failed(`${why}, and the driver takes long to take it back`),
      ATTACH_PATIENCE_MS,
    );
    try {
      const wasOff = await this.#dataPlane.attachAgain(segment);
      if (wasOff) this.#host.emit({ type: "programBack", segment } satisfies GatewayEvent);
    } catch (error) {
      this.#failed(`${why}: ${error}`);
    } finally {
      clearTimeout(patience);
    }
  }

  /** Whatever it does now, nothing is answered or steered without a lease. */
  #failed(why: string): void {
    this.#refuses = true;
    this.#dataPlane.fallSilent();
    this.#host.emit({ type: "dataPlaneFailed", why } satisfies GatewayEvent);
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

  #goAway({ for_ms }: AwayParams): void {
    if (this.#refuses) {
      throw new RainfrontError("RF_AWAY_REFUSED", "this node's data plane does not serve", {
        fix: "see the daemon's log",
      });
    }
    if (this.#backend !== "xdp") {
      throw new RainfrontError("RF_AWAY_REFUSED", "without backend: xdp nothing goes on without the daemon", {
        fix: "use `rainfront down`, which hands the VIPs over, or backend: xdp",
      });
    }
    this.#absences.request(for_ms, this.#host.now_ms());
    this.#host.wake();
  }

  #ownsVips(): boolean {
    return this.#vips.table().some(({ currentHost }) => currentHost === this.#config.node.id);
  }

  #drain({ node, isDraining }: DrainParams): void {
    const { members } = this.#host.status();
    if (!members.some(({ nodeId }) => nodeId === node)) {
      throw new RainfrontError("RF_NODE_NOT_READY", `node ${node} is no member now`, {
        fix: "see `rainfront status`: only a member has something to give away",
      });
    }
    const draining = this.#drains.draining;
    const isSomebodyLeft = members.some(({ nodeId, ready }) => ready && nodeId !== node && !draining.has(nodeId));
    if (isDraining && !isSomebodyLeft) {
      throw new RainfrontError(
        "RF_DRAIN_REFUSED",
        `there is no other ready member that could take what is node ${node}'s`,
        {
          fix: "wait until another node is ready, or end its drain: rainfront drain NODE --stop",
        },
      );
    }
    if (isDraining && this.#drains.all.length >= DRAINS_MAX) {
      throw new RainfrontError("RF_DRAIN_REFUSED", `${DRAINS_MAX} nodes drain already`, {
        fix: "take one of them out of service first",
      });
    }
    this.#drains.request(node, isDraining);
    this.#host.wake();
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

/** Without regard to the order in the ring, which says nothing to the data plane. */
function union(some: readonly number[], others: readonly number[]): number[] {
  return [...new Set([...some, ...others])].sort((a, b) => a - b);
}
