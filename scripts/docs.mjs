// `npm run docs`: writes docs/api/*.md from the comments of what lib/index.ts exports. `--check` writes nothing and fails
// where a page is not what the comments say; `npm test` does that. API Extractor reads the declarations, with a compiler of
// its own, for the project's has no interface for programs; what it finds out is set as Markdown here.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fail, progress, ROOT, runQuietly } from "./process.mjs";
import { setup } from "./setup.mjs";

const TARGET = join(ROOT, "docs", "api");

/** Pages in their order: by the folder or file of lib that the declaration is in. Others come behind, under their own name. */
const PAGES = {
  session: ["Raincore", "Membership, ordered multicast, locks and shared state for a program: the class `Raincore`."],
  raincore: ["The core", "What `Raincore` runs in its thread, pure: time and messages come in, effects come out."],
  vip: ["Virtual IPs", "The VIP table that travels on the token."],
  steering: ["Steering", "Which node handles which flow."],
  config: ["Configuration", "Reading a configuration file; the keys are in [configuration.md](../configuration.md)."],
  errors: ["Errors", "Every error carries a code."],
  native: ["The native addon", "The data plane of one segment."],
};

/** Emits the declarations of the public face and has them read. */
async function readModel() {
  mkdirSync(join(ROOT, "build-docs"), { recursive: true });
  // Below the root, so that its node_modules are found.
  const scratch = mkdtempSync(join(ROOT, "build-docs", "run-"));
  try {
    const tsconfig = join(scratch, "tsconfig.json");
    writeFileSync(tsconfig, JSON.stringify(compilerConfig(scratch)));
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    if (!runQuietly(process.execPath, [tsc, "-p", tsconfig])) fail("lib/index.ts does not compile", "npm run lint");
    return await extract(scratch, tsconfig);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function compilerConfig(scratch) {
  const outDir = join(scratch, "types");
  const compilerOptions = { rootDir: ROOT, outDir, emitDeclarationOnly: true, tsBuildInfoFile: join(scratch, "info") };
  return { extends: join(ROOT, "tsconfig.json"), compilerOptions, files: [join(ROOT, "lib", "index.ts")], include: [] };
}

async function extract(scratch, tsconfig) {
  const { Extractor, ExtractorConfig } = await import("@microsoft/api-extractor").catch(() =>
    fail("@microsoft/api-extractor is missing", "npm ci"),
  );
  const apiJson = join(scratch, "api.json");
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: ROOT,
      mainEntryPointFilePath: join(scratch, "types", "lib", "index.d.ts"),
      compiler: { tsconfigFilePath: tsconfig },
      docModel: { enabled: true, apiJsonFilePath: apiJson },
      newlineKind: "lf",
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(ROOT, "package.json"),
  });
  const hidden = [];
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message) {
      message.handled = true;
      if (message.messageId === "ae-forgotten-export") hidden.push(/"([^"]+)"/.exec(message.text)?.[1]);
      if (message.category === "Compiler") fail(message.text);
    },
  });
  const [entry] = JSON.parse(readFileSync(apiJson, "utf8")).members;
  return { members: entry.members, hidden: [...new Set(hidden)].sort() };
}

/** The page of a declaration: the part of its path below lib. */
function pageOf({ fileUrlPath }) {
  return /\/lib\/([^/]+?)(?:\.d\.ts|\/)/.exec(`/${fileUrlPath}`)?.[1] ?? "others";
}

function sourceOf({ fileUrlPath }) {
  return `lib/${/\/lib\/(.*)\.d\.ts$/.exec(`/${fileUrlPath}`)?.[1]}.ts`;
}

function render({ members, hidden }) {
  // Overloads have one name.
  const home = new Map(members.map((member) => [member.name, pageOf(member)]));
  const found = [...new Set(members.map(pageOf))].sort();
  const order = [
    ...Object.keys(PAGES).filter((page) => found.includes(page)),
    ...found.filter((page) => !(page in PAGES)),
  ];
  const files = new Map();
  for (const page of order) {
    const own = members.filter((member) => pageOf(member) === page).sort(byRank);
    const [title, introduction] = headOf(page);
    const sections = own.map((member) => section(member, home));
    const head = `# ${title}\n\n${GENERATED}\n${introduction === "" ? "" : `\n${introduction}\n`}`;
    files.set(`${page}.md`, `${head}\n${sections.join("\n")}`);
  }
  files.set("README.md", overview(order, members, hidden));
  return files;
}

const GENERATED = "<!-- Made from the comments in lib by `npm run docs`: change those. -->";

function headOf(page) {
  return PAGES[page] ?? [page[0].toUpperCase() + page.slice(1), ""];
}

/** What one calls before what one is given. */
const RANKS = ["Class", "Function", "Interface", "TypeAlias", "Enum", "Variable"];

function byRank(a, b) {
  return RANKS.indexOf(a.kind) - RANKS.indexOf(b.kind) || a.name.localeCompare(b.name);
}

function overview(order, members, hidden) {
  const lines = [
    "# Interface for programs",
    "",
    GENERATED,
    "",
    'What `import … from "rainfront"` gives. Everything else is internal.',
    "",
  ];
  for (const page of order) {
    const [title, introduction] = headOf(page);
    lines.push(`## [${title}](${page}.md)`, "");
    if (introduction !== "") lines.push(introduction, "");
    lines.push("| name | what |", "| --- | --- |");
    const seen = new Set();
    for (const member of members.filter((one) => pageOf(one) === page).sort(byRank)) {
      if (seen.has(member.name)) continue;
      seen.add(member.name);
      const text = firstSentence(commentOf(member)).replaceAll("|", "\\|");
      lines.push(`| [${member.name}](${page}.md#${anchor(member.name)}) | ${text === "" ? kindOf(member) : text} |`);
    }
    lines.push("");
  }
  if (hidden.length > 0) {
    lines.push("## Types without a name of their own", "");
    lines.push(
      `Named in the declarations above and not exported: ${hidden.map((name) => `\`${name}\``).join(", ")}.`,
      "",
    );
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

function kindOf({ kind }) {
  return { TypeAlias: "type", Variable: "constant" }[kind] ?? kind.toLowerCase();
}

/** GitHub's: lower case, without punctuation. */
function anchor(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\w -]/g, "")
    .replaceAll(" ", "-");
}

function section(member, home) {
  const lines = [`## ${member.name}`, "", `${kindOf(member)}, ${sourceOf(member)}`, ""];
  const comment = commentOf(member);
  if (comment !== "") lines.push(comment, "");
  const parts = member.kind === "Class" ? classParts(member) : [];
  lines.push("```ts", member.kind === "Interface" ? interfaceCode(member) : codeOf(member), "```", "");
  const links = references(member, home);
  if (links.length > 0) lines.push(`See ${links.join(", ")}.`, "");
  for (const part of parts) lines.push(...memberSection(member, part));
  return lines.join("\n");
}

const CLASS_PARTS = ["Constructor", "Property", "Method"];

/** Constructor, then what the class itself has, then what its instances have. */
function classParts({ members }) {
  const rank = (part) =>
    part.kind === "Constructor" ? 0 : part.isStatic === true ? 1 : part.kind === "Property" ? 2 : 3;
  // What a type argument of the base class has is listed with the members.
  const isShown = ({ kind, isProtected }) => CLASS_PARTS.includes(kind) && isProtected !== true;
  return members.filter(isShown).sort((a, b) => rank(a) - rank(b) || (a.name ?? "").localeCompare(b.name ?? ""));
}

function memberSection(owner, part) {
  const name = part.kind === "Constructor" ? `new ${owner.name}` : `${owner.name}.${part.name}`;
  const comment = part.kind === "Constructor" ? withoutBoilerplate(commentOf(part)) : commentOf(part);
  return [`### ${name}`, "", ...(comment === "" ? [] : [comment, ""]), "```ts", codeOf(part), "```", ""];
}

/** A constructor without a comment is given one. */
function withoutBoilerplate(comment) {
  return /^Constructs a new instance of the `\w+` class$/.test(comment) ? "" : comment;
}

function codeOf({ excerptTokens }) {
  const text = excerptTokens
    .map((token) => token.text)
    .join("")
    .trim();
  return text.replace(/^export (?:declare )?/, "");
}

function interfaceCode(member) {
  const parts = [...member.members].sort((a, b) => (a.name ?? "").localeCompare(b.name ?? ""));
  const body = parts.flatMap((part) => [...commentBlock(commentOf(part)), indented(codeOf(part))]);
  return [`${codeOf(member)} {`, ...body, "}"].join("\n");
}

function commentBlock(comment) {
  if (comment === "") return [];
  const lines = comment.split("\n");
  if (lines.length === 1) return [`  /** ${comment} */`];
  return ["  /**", ...lines.map((line) => `   * ${line}`.trimEnd()), "   */"];
}

function indented(code) {
  return code.replaceAll(/^/gm, "  ");
}

/** The comment without its frame. Only backslashes that protect a character from being a tag are in the way. */
function commentOf({ docComment = "" }) {
  const lines = docComment.split("\n").map((line) => line.replace(/^\s*(?:\/\*\*|\*\/|\* ?)/, "").replace(/\*\/$/, ""));
  return lines
    .join("\n")
    .replaceAll(/\\([{}@<>])/g, "$1")
    .trim();
}

function firstSentence(comment) {
  const text = comment.replaceAll("\n", " ");
  return /^.*?[.;](?= |$)/.exec(text)?.[0].replace(/;$/, ".") ?? text;
}

/** Other exports that the declaration names. */
function references(member, home) {
  const tokens = [member, ...(member.members ?? [])].flatMap(({ excerptTokens }) => excerptTokens);
  const names = tokens.filter(({ kind }) => kind === "Reference").map(({ text }) => text.split(".")[0]);
  const known = [...new Set(names)].filter((name) => home.has(name) && name !== member.name).sort();
  return known.map(
    (name) => `[${name}](${home.get(name) === home.get(member.name) ? "" : `${home.get(name)}.md`}#${anchor(name)})`,
  );
}

function check(files) {
  const present = existsSync(TARGET) ? readdirSync(TARGET) : [];
  const wrong = [...files].filter(
    ([name, text]) => !present.includes(name) || readFileSync(join(TARGET, name), "utf8") !== text,
  );
  const names = [...wrong.map(([name]) => name), ...present.filter((name) => !files.has(name))];
  if (names.length > 0) fail(`docs/api is not what the comments say: ${names.join(", ")}`, "npm run docs");
}

function write(files) {
  rmSync(TARGET, { recursive: true, force: true });
  mkdirSync(TARGET, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(TARGET, name), text);
}

const args = process.argv.slice(2);
if (args.some((arg) => arg !== "--check")) fail("wrong usage", "npm run docs, or npm run docs -- --check");
await setup({ build: false });
const model = await readModel();
const files = render(model);
if (args.includes("--check")) check(files);
else write(files);
progress(`docs/api: ${files.size} pages, ${model.members.length} exports`);
if (model.hidden.length > 0) progress(`named by the interface, but not exported: ${model.hidden.join(", ")}`);
