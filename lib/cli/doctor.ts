// `rainfront doctor`: what of this machine would keep a node from serving, with the fix of each.

import { loadConfig } from "../config/load.js";
import type { Finding, FindingLevel } from "../gateway/doctor.js";
import type { Console } from "./common.js";
import { table } from "./statusTable.js";

export interface DoctorOptions {
  readonly config: string;
  readonly node?: number;
  readonly json?: true;
}

/** The exit status: 1 when something keeps the node from serving. */
export async function doctor(options: DoctorOptions, console: Console): Promise<number> {
  const config = loadConfig(options.config, { node: options.node });
  // Loaded late, as by `up`.
  const [{ examine }, { loadNative }] = await Promise.all([import("../gateway/doctor.js"), import("../native.js")]);
  const findings = await examine(config, loadNative());
  const ok = findings.every(({ level }) => level !== "error");
  console.out(options.json === true ? `${JSON.stringify({ ok, findings })}\n` : renderFindings(findings));
  return ok ? 0 : 1;
}

/** Of what is wrong, the fixes come behind the table. */
export function renderFindings(findings: readonly Finding[]): string {
  const rows = findings.map(({ level, check, message }) => [level, check, message]);
  const fixes = findings.flatMap(({ check, fix }) => (fix === undefined ? [] : [`${check}: ${fix}`]));
  const count = (level: FindingLevel) => findings.filter((finding) => finding.level === level).length;
  const parts = [
    table(["", "check", "found"], rows),
    ...(fixes.length === 0 ? [] : [`What to do:\n${fixes.map((fix) => `  ${fix}`).join("\n")}`]),
    `${count("error")} errors, ${count("warning")} warnings, ${count("note")} notes`,
  ];
  return `${parts.join("\n\n")}\n`;
}
