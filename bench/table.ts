// Prints a benchmark's rows as an aligned table.

import type { BenchResult, Figure } from "./result.js";

export function formatTable(result: BenchResult): string {
  const columns = Object.keys(result.rows[0] ?? {});
  const cells = [columns, ...result.rows.map((row) => columns.map((column) => show(row[column] ?? "")))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => (line[index] ?? "").length)));
  const lines = cells.map((line) =>
    line
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join("  "),
  );
  const figures = Object.entries(result.figures).map(([name, value]) => `${name}: ${show(value)}`);
  return [...lines, "", ...figures, ...result.broken.map((promise) => `BROKEN: ${promise}`)].join("\n");
}

function show(value: Figure): string {
  if (typeof value === "string") return value;
  return Number.isInteger(value)
    ? value.toLocaleString("en-US")
    : value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}
