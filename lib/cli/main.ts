#!/usr/bin/env node
// The `rainfront` command. All of it is in run.ts, so that tests can call it.

import { run } from "./run.js";

// `rainfront status | head` closes the pipe early; that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  isTerminal: process.stdout.isTTY === true,
});

// Everything is closed by now. Should something still keep the process alive, an operator must not wait for it.
setTimeout(() => process.exit(), 2000).unref();
