// One daemon per network namespace, whatever its state folder: two would take each other's interfaces for leftovers. Taken by
// daemon.ts before it looks at what is installed.

import { createServer } from "node:net";
import { RainfrontError } from "../errors.js";

/** Abstract: it lives in the network namespace, and the kernel removes it with its process. */
const LOCK_SOCKET = "\0rainfront/daemon";

export interface NamespaceLock {
  release(): Promise<void>;
}

/** Throws `RF_ALREADY_RUNNING` when another daemon of this network namespace has the lock. */
export function acquireNamespaceLock(): Promise<NamespaceLock> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "EADDRINUSE" ? alreadyRunning(error) : error);
    });
    server.listen(LOCK_SOCKET, () => {
      server.removeAllListeners("error");
      server.on("error", () => {}); // a failed accept must not end the daemon
      resolve({ release: () => new Promise((released) => server.close(() => released())) });
    });
  });
}

function alreadyRunning(cause: Error): RainfrontError {
  return new RainfrontError(
    "RF_ALREADY_RUNNING",
    "a rainfront daemon with another stateDir already runs in this network namespace",
    { fix: "stop it first; `ss -xlp | grep rainfront/daemon` shows its pid", cause },
  );
}
