/** A real gateway on a data folder of its own, for tests. */

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const START_LIMIT_MS = 60_000;
const SCHEMA = {
  type: "object",
  required: ["idempotencyKey", "n"],
  properties: { idempotencyKey: { type: "string" }, n: { type: "integer" } },
};
const REVISION = {
  default_type: "reading",
  event_types: { reading: { schema: "reading", key: "/idempotencyKey" } },
  rules: [],
};

/** The gateway's binary: TIDEGATE_PROGRAM, or the one that cargo has built. Tests run in the package's folder. */
function program(): string {
  const target = process.env["CARGO_TARGET_DIR"] || join("..", "..", "..", "target");
  const path = process.env["TIDEGATE_PROGRAM"] || join(target, "debug", "tidegate");
  if (!fs.existsSync(path)) throw new Error(`${path} is missing: build the gateway, or set TIDEGATE_PROGRAM`);
  return path;
}

/** A gateway with one tenant. */
export class Gateway {
  apiKey = "";
  readonly #data = fs.mkdtempSync(join(tmpdir(), "tidegate-gateway-"));
  #addresses = { ingress: "127.0.0.1:0", admin: "127.0.0.1:0" };
  #process: ChildProcess | null = null;

  static async start(): Promise<Gateway> {
    const gateway = new Gateway();
    try {
      await gateway.start();
      gateway.apiKey = await gateway.#prepare();
    } catch (error) {
      await gateway.remove();
      throw error;
    }
    return gateway;
  }

  get url(): string {
    return `http://${this.#addresses.ingress}`;
  }

  /** Starts it, on the same ports as before. */
  async start(): Promise<void> {
    const told = join(this.#data, "addresses.json");
    fs.rmSync(told, { force: true });
    const log = fs.openSync(join(this.#data, "gateway.log"), "a");
    const child = spawn(program(), ["serve", "--data-dir", this.#data], {
      env: {
        ...process.env,
        TIDEGATE_INGRESS__ADDRESS: this.#addresses.ingress,
        TIDEGATE_ADMIN__ADDRESS: this.#addresses.admin,
        TIDEGATE_TELEMETRY__METRICS_ADDRESS: "127.0.0.1:0",
      },
      stdio: ["ignore", log, log],
    });
    fs.closeSync(log);
    this.#process = child;
    const limit = performance.now() + START_LIMIT_MS;
    while (!(await this.#isReady(told))) {
      if (child.exitCode !== null || performance.now() > limit) {
        throw new Error(fs.readFileSync(join(this.#data, "gateway.log"), "utf8"));
      }
      await sleep(20);
    }
  }

  /** SIGKILL, and waits for its end. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    fs.rmSync(this.#data, { recursive: true, force: true });
  }

  async #prepare(): Promise<string> {
    const of = ["--tenant", "edge"];
    await this.#command("tenant", "create", "edge");
    const key = await this.#command("key", "create", ...of, "--name", "tests");
    await this.#command("schema", "put", ...of, "reading", this.#file("schema.json", SCHEMA));
    await this.#command("revision", "apply", ...of, "--activate", this.#file("revision.json", REVISION));
    return key["key"] as string;
  }

  async #command(...words: string[]): Promise<Record<string, unknown>> {
    const { stdout } = await promisify(execFile)(program(), ["--data-dir", this.#data, "--json", ...words]);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  #file(name: string, content: object): string {
    const path = join(this.#data, name);
    fs.writeFileSync(path, JSON.stringify(content));
    return path;
  }

  async #isReady(told: string): Promise<boolean> {
    try {
      this.#addresses = JSON.parse(fs.readFileSync(told, "utf8")) as { ingress: string; admin: string };
      return (await fetch(`${this.url}/readyz`)).ok;
    } catch {
      return false;
    }
  }
}
