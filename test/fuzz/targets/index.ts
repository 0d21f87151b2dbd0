// All decoders of what comes from the network, the token or the control socket. A new one is a file in this folder and a
// line here.
import type { Target } from "../target.js";
import { locks, multicast, shared, vip } from "./carriages.js";
import { controlAnswer, controlRequest } from "./control.js";
import { datagram } from "./datagram.js";
import { engine, transport } from "./engine.js";
import { messages, token } from "./messages.js";
import { modules } from "./modules.js";

export const TARGETS: readonly Target[] = [
  datagram,
  messages,
  token,
  vip,
  locks,
  shared,
  multicast,
  modules,
  transport,
  engine,
  controlRequest,
  controlAnswer,
];
