// Every error that Rainfront raises on purpose carries one of these codes, so that an operator can look it up and a
// program can branch on it. Used by all layers.

/** All codes, sorted. `RF_CONFIG_*` mean that a configuration was refused before anything was installed. */
export const ERROR_CODES = [
  "RF_ALREADY_RUNNING",
  "RF_ARGUMENT",
  "RF_ARP_ANNOUNCE",
  "RF_ARP_IGNORE",
  "RF_AWAY",
  "RF_AWAY_REFUSED",
  "RF_CARRIAGE_CONFLICT",
  "RF_CARRIAGE_LIMIT",
  "RF_CLOSED",
  "RF_COMMAND",
  "RF_CONFIG_ADDRESS_OUTSIDE_SEGMENT",
  "RF_CONFIG_DUPLICATE",
  "RF_CONFIG_FAILOVER_TARGET",
  "RF_CONFIG_FILE",
  "RF_CONFIG_KEY_FILE",
  "RF_CONFIG_LIMIT",
  "RF_CONFIG_SUBNET",
  "RF_CONFIG_SYNTAX",
  "RF_CONFIG_UNKNOWN_KEY",
  "RF_CONFIG_UNKNOWN_NODE",
  "RF_CONFIG_VALUE",
  "RF_CONFIG_VIP_OUTSIDE_SEGMENT",
  "RF_CONNTRACK",
  "RF_CONTROL_BUSY",
  "RF_CONTROL_DENIED",
  "RF_CONTROL_PROTOCOL",
  "RF_CONTROL_REQUEST",
  "RF_CONTROL_TIMEOUT",
  "RF_DATA_PLANE",
  "RF_DRAIN_REFUSED",
  "RF_DRAIN_TIMEOUT",
  "RF_HOST_SLOW",
  "RF_INTERFACE_TAKEN",
  "RF_INTERNAL",
  "RF_KEY_MISMATCH",
  "RF_LAB_COMMAND",
  "RF_LAB_NOT_RUNNING",
  "RF_LAB_PRIVILEGE",
  "RF_LAB_REFUSED",
  "RF_LAB_TIMEOUT",
  "RF_LAB_TOOL_MISSING",
  "RF_LOCK_COMMAND",
  "RF_LOCK_LIMIT",
  "RF_LOCK_LOST",
  "RF_LOCK_NAME",
  "RF_LOCK_TIMEOUT",
  "RF_LOCK_UNAVAILABLE",
  "RF_MESSAGE_SIZE",
  "RF_MULTICAST_FULL",
  "RF_NATIVE_MISSING",
  "RF_NIC_ADDRESS",
  "RF_NIC_DOWN",
  "RF_NIC_IPV6",
  "RF_NIC_KIND",
  "RF_NIC_MISSING",
  "RF_NIC_MTU",
  "RF_NODE_NOT_READY",
  "RF_NODE_UNKNOWN",
  "RF_NOT_DELIVERED",
  "RF_NOT_MEMBER",
  "RF_NOT_REMOVED",
  "RF_NOT_RUNNING",
  "RF_NO_PRIVILEGE",
  "RF_PORT_CLOSED",
  "RF_PORT_RING",
  "RF_PORT_SOCKET",
  "RF_REQUESTS_FULL",
  "RF_RING_PORT",
  "RF_SEND_FULL",
  "RF_STARTING",
  "RF_STATE_DIR",
  "RF_USAGE",
  "RF_VIP_UNKNOWN",
  "RF_XDP_ATTACH",
  "RF_XDP_LOAD",
  "RF_XDP_MISSING",
  "RF_XDP_NIC",
  "RF_XDP_TAKEN",
] as const;

/** One of the codes in docs/errors.md. */
export type ErrorCode = (typeof ERROR_CODES)[number];

export function isErrorCode(code: string): code is ErrorCode {
  return (ERROR_CODES as readonly string[]).includes(code);
}

/** What to tell the operator besides the message. */
export interface ErrorHints {
  /** One imperative sentence that mends it. */
  readonly fix?: string;
  readonly cause?: unknown;
}

/** An error with a stable code and, where there is one, the fix. */
export class RainfrontError extends Error {
  readonly code: ErrorCode;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, message: string, hints: ErrorHints = {}) {
    super(message, hints.cause === undefined ? undefined : { cause: hints.cause });
    this.name = "RainfrontError";
    this.code = code;
    this.fix = hints.fix;
  }

  /** One line for a terminal: `RF_CODE: message (fix: …)`. */
  toLine(): string {
    return `${this.code}: ${this.message}${this.fix === undefined ? "" : ` (fix: ${this.fix})`}`;
  }
}
