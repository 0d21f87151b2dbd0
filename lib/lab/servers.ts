// The servers behind the gateways: nginx with a configuration of the lab's own, and iperf3.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AddressFamily } from "../config/address.js";
import { Host } from "./host.js";
import { STATE_ROOT } from "./paths.js";
import { familySysctls, HTTP_PORT, IPERF_PORT, onLink, type ServerPlan } from "./plan.js";
import { Programs } from "./programs.js";
import type { Switch } from "./switch.js";

/** Of a host with nginx: as many connections may wait to be accepted as it asks for. */
export const LISTENER_SYSCTLS: Readonly<Record<string, number>> = { "net/core/somaxconn": 4096 };

/** Of a server, for what it is to have under `/files/`. */
export function serverFolder(name: string): string {
  return join(STATE_ROOT, name);
}

/**
 * One process in the foreground that answers every request with its name, or with a file. It stays root, because a user's namespace has no
 * other user to change to.
 */
export function nginxConfig(name: string, folder: string, families: readonly AddressFamily[] = [4]): string {
  const listen = families.map((family) => `    listen ${family === 6 ? "[::]:" : ""}${HTTP_PORT} backlog=4096;`);
  return `daemon off;
master_process off;
user root root;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  keepalive_timeout 0;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
${listen.join("\n")}
    default_type text/plain;
    location / { return 200 "${name}\\n"; }
    location /files/ { root ${folder}; }
  }
}
`;
}

/** Starts nginx on a host, whose name it answers with. */
export function startNginx(host: Host, programs: Programs, families: readonly AddressFamily[]): void {
  const folder = serverFolder(host.name);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const config = join(folder, "nginx.conf");
  writeFileSync(config, nginxConfig(host.name, folder, families));
  // -e: before it reads its configuration, nginx would log to /var/log, which a user may not write.
  programs.start(["nginx", "-e", "stderr", "-p", folder, "-c", config]);
}

export class Server {
  readonly plan: ServerPlan;
  readonly host: Host;
  readonly programs: Programs;

  constructor(plan: ServerPlan, logFolder: string) {
    this.plan = plan;
    this.host = new Host(plan.name);
    this.programs = new Programs(this.host, join(logFolder, `${plan.name}.log`));
  }

  async boot(internal: Switch, index: number, families: readonly AddressFamily[]): Promise<void> {
    await this.host.create({ ...LISTENER_SYSCTLS, ...familySysctls(families) });
    const mac = `06:00:00:01:02:${(index + 1).toString(16).padStart(2, "0")}`;
    await internal.plugIn({ host: this.host, nic: "eth0", mac, addresses: this.plan.addresses.map(onLink) });
    await this.host.ip(this.plan.gateways.map((gateway) => `route add default via ${gateway}`));
    startNginx(this.host, this.programs, families);
    this.programs.start(["iperf3", "--server", "--port", String(IPERF_PORT)]);
  }

  /** Resolves when both programs accept connections. */
  async listening(): Promise<void> {
    await this.programs.listening([HTTP_PORT, IPERF_PORT]);
  }
}
