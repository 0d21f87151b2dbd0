// The package's public face: what `import … from "rainfront"` gives. Everything else is internal.

export {
  ASSIGNMENTS,
  type Assignment,
  BACKENDS,
  type Backend,
  type Config,
  LOG_LEVELS,
  type LogLevel,
  type NodeConfig,
  type RingConfig,
  SEGMENT_NAMES,
  SERVICE_PROTOCOLS,
  type SegmentConfig,
  type SegmentName,
  type ServiceConfig,
  STICKINESS,
  type Stickiness,
} from "./config/config.js";
export { type LoadOptions, loadConfig } from "./config/load.js";
export { ERROR_CODES, type ErrorCode, type ErrorHints, RainfrontError } from "./errors.js";
export type {
  AttachedXdp,
  ConntrackDelivery,
  ConntrackFigures,
  ConntrackPurpose,
  ConntrackShare,
  ConntrackShareOptions,
  CounterInfo,
  FlowAssignment,
  FlowExchange,
  FlowExchangeFigures,
  FlowExchangeOptions,
  FlowLook,
  FlowService,
  FlowTuple,
  FrontPort,
  FrontPortDeparture,
  FrontPortOptions,
  FrontPortTables,
  FrontPortVip,
  KnownConnection,
  KnownFlow,
  NativeAddon,
  NativeDatagramPort,
  NativeDatagramPortOptions,
  NativeXdp,
  Pipeline,
  PipelineVerdict,
  PortBackend,
  PortRanges,
  SurveyAnswer,
  SurveyOptions,
  XdpPipeline,
  XdpRun,
} from "./native.js";
export { loadNative } from "./native.js";
export type { Aead, AeadKey } from "./raincore/aead.js";
export {
  SharedCarriages,
  type SharedCarriagesConfig,
  type SharedValue,
  type UpdateResult,
} from "./raincore/carriages/sharedCarriages.js";
export { RaincoreEngine } from "./raincore/engine.js";
export {
  type LockEvent,
  type LockInfo,
  type LockOptions,
  Locks,
  type LocksConfig,
  type LostReason,
  type RefusedReason,
} from "./raincore/locks/locks.js";
export { type Delivery, Multicast, type MulticastConfig } from "./raincore/multicast/multicast.js";
export {
  type OpenFailure,
  type OpenResult,
  SecureChannel,
  type SecureChannelOptions,
  sealedBytes,
} from "./raincore/secureChannel.js";
export { deriveTimers, leastTarget_ms, type Timers } from "./raincore/timers.js";
export type { ViewId } from "./raincore/token.js";
export type { PathStatus } from "./raincore/transport/paths.js";
export type * from "./raincore/types.js";
export { chooseAead } from "./session/aead.js";
export { Carriage, type CarriageState, type CompareAndSet } from "./session/carriage.js";
export { DATAGRAM_COUNTERS, type DatagramCounters } from "./session/datagramPort.js";
export type { Lock, LockRequest } from "./session/lock.js";
export type { RaincoreOptions } from "./session/options.js";
export type { CreatePlugin, PluginHost, SessionPlugin } from "./session/plugin.js";
export type {
  Delivered,
  Guarantee,
  LockDescription,
  Outcome,
  PeerOptions,
  SessionStats,
} from "./session/protocol.js";
export { MESSAGE_BYTES_MAX, Raincore, type RaincoreEvents } from "./session/raincore.js";
export { frontMac } from "./steering/frontMac.js";
export { buildMaglev, MAGLEV_SLOTS } from "./steering/maglev.js";
export type { PortRange } from "./steering/portRanges.js";
export { VERSION } from "./version.js";
export {
  type Persistence,
  type VipAnswer,
  type VipConfig,
  VipModule,
  type VipModuleConfig,
  type VipRecord,
} from "./vip/vipTable.js";
