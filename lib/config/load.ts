// Reads a configuration file: YAML, then shape (schema.ts), then what concerns several values (check.ts), then the key
// and the timers. Called by `rainfront up` and by the commands that need to know the state folder. Every refusal is one
// RainfrontError that names the file, the line, the path inside the file, and the fix.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Document, isMap, isNode, isScalar, LineCounter, type ParsedNode, parseDocument } from "yaml";
import { type ErrorCode, RainfrontError } from "../errors.js";
import { deriveTimers, type Timers } from "../raincore/timers.js";
import type { QuorumPolicy } from "../raincore/types.js";
import { checkConfig } from "./check.js";
import { type Config, SEGMENT_NAMES, type SegmentConfig, type SegmentName, type ServiceConfig } from "./config.js";
import { parseCidr } from "./ipv4.js";
import { readKeyFile } from "./keyFile.js";
import { CONTROL_SOCKET_NAME, formatPath, optionAt, optionsBelow, SOCKET_PATH_BYTES_MAX } from "./options.js";
import { type FileConfig, type FileIssue, fileSchema } from "./schema.js";
import { nearest } from "./spelling.js";

/** What a command line says besides the file. */
export interface LoadOptions {
  /** Overrides `node` of the file. */
  readonly node?: number | undefined;
}

type Path = readonly PropertyKey[];

const FILE_BYTES_MAX = 1024 * 1024;

/** Throws a RainfrontError with an `RF_CONFIG_*` code if anything is wrong. Changes nothing. */
export function loadConfig(file: string, options: LoadOptions = {}): Config {
  const source = new Source(file);
  const parsed = source.parse();
  const nodeId = options.node ?? parsed.node;
  for (const problem of checkConfig(parsed, nodeId)) {
    throw source.error(problem.code, problem.path, problem.message, problem.fix);
  }
  const node = parsed.nodes.find((candidate) => candidate.id === nodeId);
  if (node === undefined) throw new Error("checkConfig lets only listed nodes through");

  const base = dirname(resolve(file));
  return {
    file: resolve(file),
    cluster: parsed.cluster,
    node,
    failoverTarget_ms: parsed.failoverTarget_ms,
    timers: timersFor(source, parsed.failoverTarget_ms, parsed.nodes.length),
    quorum: quorumOf(parsed),
    rejoin: parsed.rejoin,
    keepConnections: parsed.keepConnections,
    assignment: parsed.assignment,
    stickiness: parsed.stickiness,
    services: servicesOf(parsed),
    portRanges: parsed.portRanges,
    backend: parsed.backend,
    nodes: [...parsed.nodes].sort((a, b) => a.id - b.id),
    segments: resolveSegments(parsed),
    vips: parsed.vips,
    ring: parsed.ring,
    stateDir: stateDirFor(source, parsed, base),
    logLevel: parsed.logLevel,
    keyFile: resolve(base, parsed.keyFile),
    clusterKeys: readKeyFile(resolve(base, parsed.keyFile), (message, fix) =>
      source.error("RF_CONFIG_KEY_FILE", ["keyFile"], message, fix),
    ),
  };
}

/** Only the state folder, for commands that look for a running daemon: works without the key and without `node`. */
export function loadStateDir(file: string): string {
  const source = new Source(file);
  return stateDirFor(source, source.parse(), dirname(resolve(file)));
}

/** What a service does not say is said of all flows. */
function servicesOf({ services, assignment, stickiness }: FileConfig): ServiceConfig[] {
  return services.map(({ address, protocol, port, ...own }) => ({
    address,
    ...(protocol !== undefined && port !== undefined && { protocol, port }),
    assignment: own.assignment ?? assignment,
    stickiness: own.stickiness ?? stickiness,
  }));
}

function quorumOf({ quorum, tieBreaker, nodes }: FileConfig): QuorumPolicy {
  if (quorum === "available") return { policy: quorum };
  return { policy: quorum, tieBreaker: tieBreaker ?? Math.min(...nodes.map(({ id }) => id)) };
}

function timersFor(source: Source, failoverTarget_ms: number, nodes: number): Timers {
  try {
    return deriveTimers(failoverTarget_ms, nodes);
  } catch (error) {
    if (!(error instanceof RainfrontError)) throw error;
    const fix = error.fix ?? fixFor(["failoverTarget_ms"]);
    throw source.error(error.code, ["failoverTarget_ms"], error.message, fix);
  }
}

function resolveSegments(parsed: FileConfig): Record<SegmentName, SegmentConfig> {
  const entries = SEGMENT_NAMES.map((name): [SegmentName, SegmentConfig] => {
    const { interface: nic, subnet, subnet6 } = parsed.segments[name];
    const prefixLength = parseCidr(subnet)?.subnet.prefixLength ?? 0;
    return [name, { name, interface: nic, subnet, prefixLength, ...(subnet6 === undefined ? {} : { subnet6 }) }];
  });
  return Object.fromEntries(entries) as Record<SegmentName, SegmentConfig>;
}

function stateDirFor(source: Source, parsed: FileConfig, base: string): string {
  const folder = resolve(base, parsed.stateDir);
  const bytes = Buffer.byteLength(join(folder, CONTROL_SOCKET_NAME));
  if (bytes <= SOCKET_PATH_BYTES_MAX) return folder;
  const message = `${folder}/${CONTROL_SOCKET_NAME} has ${bytes} bytes, a socket's path at most ${SOCKET_PATH_BYTES_MAX}`;
  throw source.error("RF_CONFIG_VALUE", ["stateDir"], message, "use a shorter path, such as /run/rainfront");
}

/** A configuration file, and where in it things stand. */
class Source {
  readonly #file: string;
  readonly #lines = new LineCounter();
  #document: Document.Parsed<ParsedNode> | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  parse(): FileConfig {
    const document = parseDocument(this.#read(), { lineCounter: this.#lines, prettyErrors: false });
    this.#document = document;
    const complaint = document.errors[0] ?? document.warnings[0];
    if (complaint !== undefined) throw this.#syntaxError(complaint.message, complaint.pos[0]);
    const result = fileSchema.safeParse(this.#toJs(document));
    if (result.success) return result.data;
    throw this.#issueError(result.error.issues);
  }

  error(code: ErrorCode, path: Path, message: string, fix: string): RainfrontError {
    return this.#errorAt(this.#offset(path), code, path, message, fix);
  }

  #errorAt(offset: number | undefined, code: ErrorCode, path: Path, message: string, fix: string): RainfrontError {
    const line = offset === undefined ? "" : `:${this.#lines.linePos(offset).line}`;
    const where = path.length === 0 ? "" : ` ${formatPath(path)}:`;
    return new RainfrontError(code, `${this.#file}${line}:${where} ${message}`, { fix });
  }

  #read(): string {
    let descriptor: number | undefined;
    try {
      // Not blocking: a named pipe would hang the open.
      descriptor = openSync(this.#file, constants.O_RDONLY | constants.O_NONBLOCK);
      const stat = fstatSync(descriptor);
      if (!stat.isFile()) throw new Error("it is not a regular file");
      if (stat.size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX} bytes`);
      const bytes = Buffer.alloc(stat.size);
      return bytes.subarray(0, readSync(descriptor, bytes)).toString("utf8");
    } catch (error) {
      throw new RainfrontError("RF_CONFIG_FILE", `${this.#file}: cannot be read: ${reason(error)}`, {
        fix: "give the path of a readable configuration file with --config",
        cause: error,
      });
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  #toJs(document: Document.Parsed<ParsedNode>): unknown {
    try {
      return document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      throw this.#syntaxError(reason(error), 0);
    }
  }

  #syntaxError(message: string, offset: number): RainfrontError {
    const fix = "correct the YAML; indent with spaces, and quote values with special characters";
    return this.#errorAt(offset, "RF_CONFIG_SYNTAX", [], message.replaceAll(/\s+/g, " "), fix);
  }

  /** Unknown keys first, for a mistyped key explains a missing one; otherwise in the order of the file. */
  #issueError(issues: readonly FileIssue[]): RainfrontError {
    const errors = issues.map((issue) => {
      const unknown = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
      return unknown === undefined ? this.#valueError(issue) : this.#unknownKeyError(issue.path, unknown);
    });
    errors.sort((a, b) => Number(b.unknown) - Number(a.unknown) || a.offset - b.offset);
    const first = errors[0];
    if (first === undefined) throw new Error("a failed parse has at least one issue");
    return first.error;
  }

  #valueError(issue: FileIssue) {
    const offset = this.#offset(issue.path);
    const value = valueAt(this.#document?.toJS(), issue.path);
    const params = issue.code === "custom" ? (issue.params as { fix?: string } | undefined) : undefined;
    const message = value === undefined ? "is missing" : value === null ? "is empty" : `is ${show(value)}`;
    const error = this.#errorAt(offset, "RF_CONFIG_VALUE", issue.path, message, params?.fix ?? fixFor(issue.path));
    return { unknown: false, offset: offset ?? 0, error };
  }

  #unknownKeyError(parent: Path, key: string) {
    const offset = this.#keyOffset(parent, key);
    const names = optionsBelow(parent);
    const near = nearest(key, names);
    const fix = near === undefined ? `remove it; known are ${names.join(", ")}` : `write ${near}, or remove it`;
    const error = this.#errorAt(offset, "RF_CONFIG_UNKNOWN_KEY", [...parent, key], "is not a known key", fix);
    return { unknown: true, offset: offset ?? 0, error };
  }

  /** Where the value at the path begins, or the nearest thing around it that exists. */
  #offset(path: Path): number | undefined {
    for (let length = path.length; length > 0; length--) {
      const node = this.#document?.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return node.range[0];
    }
    return undefined;
  }

  #keyOffset(parent: Path, key: string): number | undefined {
    const map = parent.length === 0 ? this.#document?.contents : this.#document?.getIn(parent, true);
    if (!isMap(map)) return undefined;
    const pair = map.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
    return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
  }
}

function fixFor(path: Path): string {
  if (path.length === 0) return "write at least cluster, keyFile, nodes, segments and vips; see docs/configuration.md";
  const allowed = optionAt(path)?.allowed ?? optionAt(path.slice(0, -1))?.allowed;
  return allowed === undefined ? "see docs/configuration.md" : `write ${allowed}`;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
