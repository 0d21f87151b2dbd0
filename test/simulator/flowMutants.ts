// The mistakes about flows that the simulator must find: see mutants.ts. The rules of docs/packet-path.md are changed in the vectors' oracle, from which the simulator has them.
import type { Mutant } from "./mutants.js";

const RULES = "test/vectors/oracleFlows.ts";
const TENURES = "lib/steering/tenures.ts";
const TALK = "lib/steering/flowTalk.ts";
const EXCHANGE = "test/simulator/flows/exchange.ts";
const REPLICAS = "test/simulator/flows/replicas.ts";

export const FLOW_MUTANTS: readonly Mutant[] = [
  {
    name: "flow-tenure-unchecked",
    file: TENURES,
    find: "epoch: isSame ? earlier.epoch : epoch",
    replace: "epoch: earlier?.epoch ?? epoch",
    isOfFlows: true,
    what: "what was said of a node before it began anew holds on",
  },
  {
    name: "flow-settled-without-all",
    file: TALK,
    find: "this.#config.after(PATIENCE_MS, () => this.#end(id, false));",
    replace: "this.#config.after(PATIENCE_MS, () => this.#end(id, true));",
    isOfFlows: true,
    what: "a flow is nobody's although not all others have answered",
  },
  {
    name: "flow-assigned-unasked",
    file: RULES,
    find: "const mayBeOld = isOutdated || packet.isTcp || now_ns < assignment.settled_ns;",
    replace: "const mayBeOld = isOutdated;",
    isOfFlows: true,
    what: "an authority assigns a flow in the middle of its life without asking who handles it",
  },
  {
    name: "flow-asked-for-again",
    file: RULES,
    find: `if (fromPeer) return { kind: "drop", cause: "drop_relay_bound", fromPeer, conflict: false };`,
    replace: "",
    isOfFlows: true,
    what: "who is asked for a flow and is not its authority asks whom it takes for that one",
  },
  {
    name: "aliases-not-found",
    file: EXCHANGE,
    find: "const tracked = firewall.find(name);",
    replace: `const tracked = firewall.find("");`,
    isOfFlows: true,
    what: "who is asked for a flow does not look into its firewall",
  },
  {
    name: "datagram-aliases-untold",
    file: "test/simulator/flows/plane.ts",
    find: `if (ends.protocol === "udp" && isTranslated(ends))`,
    replace: "if (ends.id < 0)",
    isOfFlows: true,
    what: "nobody is told how the answers of a translated datagram flow look",
  },
  {
    name: "own-firewall-not-asked",
    file: EXCHANGE,
    find: "if (own?.guess !== undefined || own === undefined) return false;",
    replace: "return false;",
    also: {
      file: EXCHANGE,
      find: "likelier(question?.guess, this.#own(name, assignment))",
      replace: "question?.guess",
    },
    isOfFlows: true,
    what: "an authority asks all others for a flow, and not its own firewall",
  },
  {
    name: "alias-apart",
    file: EXCHANGE,
    find: "const other = this.#held(isAlias ? originalName(ends) : replyName(ends), assignment);",
    replace: "const other = undefined as Known | undefined;",
    isOfFlows: true,
    what: "what is known of one flow of a translated connection says nothing of the other",
  },
  {
    name: "firewalls-believed",
    file: EXCHANGE,
    find: "guess: other !== undefined ? undefined : ",
    replace: "guess: other !== undefined || isAssured ? undefined : ",
    isOfFlows: true,
    what: "a firewall that had the connection once speaks for its node",
  },
  {
    name: "alias-unmarked",
    file: EXCHANGE,
    find: "known: { ...known, epoch, isAlias: this.#isAlias(name) }",
    replace: "known: { ...known, epoch }",
    isOfFlows: true,
    what: "who learned by a relay that it handles an alias does not say that it is one",
  },
  {
    name: "alias-orphan-kept",
    file: RULES,
    find: "const isOrphan = isGone && known.isAlias !== true;",
    replace: "const isOrphan = isGone;",
    isOfFlows: true,
    what: "the authority of an alias takes the flow of a node that has gone, and another one has the copy",
  },
  {
    name: "copies-by-anybody",
    file: REPLICAS,
    find: "node === undefined || this.#host.handlerOf(tracked.ends) !== this.#host.self",
    replace: "node === undefined",
    isOfFlows: true,
    what: "a node tells all connections of its firewall, also those that others handle by now",
  },
  {
    name: "copies-taken-over-twice",
    file: REPLICAS,
    find: "if (isOld || isThere ||",
    replace: "if (isThere ||",
    isOfFlows: true,
    what: "a node that was away takes over what others have taken over meanwhile",
  },
  {
    name: "copies-not-used",
    file: REPLICAS,
    find: "if (handlerOf(ends) === undefined) this.#takeOver(ends);",
    replace: "",
    also: { file: EXCHANGE, find: "if (guess === undefined && this.#host.takeOverLast(name)) continue;", replace: "" },
    isOfFlows: true,
    what: "copies are kept for nothing",
  },
];
