/** An HTTP server on raw sockets whose every answer a test decides, also by breaking the connection. */

import * as net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import * as zlib from "node:zlib";

/** The path for one event. */
const SINGLE = "/v1/events";
export const EVENT_ID = "0192d4e5-8a7c-7def-bfff-ffffffffffff";

/** A request as the test sees it. */
export interface Got {
  connection: number;
  method: string;
  path: string;
  headers: Record<string, string>;
  /** Null where the body was not read. */
  events: Record<string, unknown>[] | null;
  at: number;
  answered: number;
}

/** What `exchanges.json` has in `server`. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  receipts?: string | (string | object)[];
  body?: object;
  text?: string;
  break?: boolean;
  hang?: boolean;
  cut?: boolean;
  early?: boolean;
  delay_ms?: number;
  trickle_ms?: number;
}

export type Script = (index: number, got: Got) => Reply | Promise<Reply>;

/** Serves on a free port until it is closed. */
export class Server {
  readonly got: Got[] = [];
  readonly failures: unknown[] = [];
  url = "";
  readonly #listener: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(private readonly script: Script | Reply[]) {
    let connections = 0;
    this.#listener = net.createServer((socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      connections += 1;
      this.#serve(socket, connections).catch((error: unknown) => {
        // A connection that the client ends is what some tests are about.
        if (!["ECONNRESET", "EPIPE", "ERR_STREAM_PREMATURE_CLOSE"].includes((error as NodeJS.ErrnoException).code ?? "")) {
          this.failures.push(error);
        }
      });
    });
  }

  static async start(script: Script | Reply[]): Promise<Server> {
    const server = new Server(script);
    await new Promise<void>((resolve) => server.#listener.listen(0, "127.0.0.1", resolve));
    server.url = `http://127.0.0.1:${(server.#listener.address() as net.AddressInfo).port}`;
    return server;
  }

  close(): void {
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #serve(socket: net.Socket, connection: number): Promise<void> {
    const reader = new Reader(socket);
    for (;;) {
      const head = await reader.head();
      if (head === null) return;
      const got = parse(head, connection);
      const index = this.got.push(got) - 1;
      const early = Array.isArray(this.script) && this.script[index]?.early ? this.script[index] : null;
      if (!early) {
        if (got.headers["expect"]) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
        const body = await reader.bytes(Number(got.headers["content-length"] ?? 0));
        got.at = performance.now();
        got.events = decoded(body, got.headers["content-encoding"], got.path === SINGLE);
      }
      const reply = early ?? (await this.#reply(index, got));
      if (!(await answer(socket, reply, got))) return;
    }
  }

  async #reply(index: number, got: Got): Promise<Reply> {
    if (!Array.isArray(this.script)) return this.script(index, got);
    return this.script[index] ?? { status: 404, text: "the script has ended" };
  }
}

/** False where the connection ends with this. */
async function answer(socket: net.Socket, reply: Reply, got: Got): Promise<boolean> {
  if (reply.hang) return false;
  if (reply.break) {
    socket.destroy();
    return false;
  }
  if (reply.delay_ms) await sleep(reply.delay_ms);
  const [head, body] = render(reply, got.events?.length ?? 0, got.path === SINGLE);
  got.answered = performance.now();
  if (reply.cut) {
    socket.end(head + body.slice(0, body.length / 2));
    return false;
  }
  if (reply.trickle_ms) {
    socket.write(head);
    for (const byte of body) {
      socket.write(byte);
      await sleep(reply.trickle_ms);
      if (socket.destroyed) return false;
    }
    return true;
  }
  const last = head.includes("Connection: close");
  socket.write(head + body, () => last && socket.destroy());
  return !last;
}

export function receipts(given: string | (string | object)[], count: number): object[] {
  const rows = typeof given === "string" ? Array.from({ length: count }, () => given) : given;
  const base = { event_id: EVENT_ID, received_at: "2024-10-29T00:00:00.000Z" };
  return rows.map((row) => ({ ...base, ...(typeof row === "string" ? { status: row } : row) }));
}

function render(reply: Reply, count: number, isSingle: boolean): [string, string] {
  const list = reply.receipts ? receipts(reply.receipts, count) : null;
  const members = { ...reply.body, ...(list && (isSingle ? receiptIn(reply, list[0] as object) : { receipts: list })) };
  const body = reply.text ?? JSON.stringify(members);
  let head = `HTTP/1.1 ${reply.status} It\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  for (const [name, value] of Object.entries(reply.headers ?? {})) {
    const wait = /^in (\d+) s$/.exec(value);
    head += `${name}: ${wait ? new Date(Date.now() + Number(wait[1]) * 1000).toUTCString() : value}\r\n`;
  }
  return [head + "\r\n", body];
}

/** The members of one event's receipt, as they stand in its answer. */
function receiptIn(reply: Reply, receipt: object): object {
  if ((reply.status ?? 0) < 400) return receipt;
  const { status: event_status, ...rest } = receipt as { status: string };
  return { ...rest, event_status };
}

function parse(head: string, connection: number): Got {
  const [line = "", ...rest] = head.split("\r\n");
  const [method = "", path = ""] = line.split(" ");
  const headers: Record<string, string> = {};
  for (const one of rest) {
    const colon = one.indexOf(":");
    headers[one.slice(0, colon).toLowerCase()] = one.slice(colon + 1).trim();
  }
  return { connection, method, path, headers, events: null, at: performance.now(), answered: 0 };
}

function decoded(body: Buffer, encoding: string | undefined, isSingle: boolean): Record<string, unknown>[] {
  let bytes = body;
  if (encoding === "gzip") bytes = zlib.gunzipSync(body);
  if (encoding === "zstd") {
    bytes = (zlib as unknown as { zstdDecompressSync(data: Buffer): Buffer }).zstdDecompressSync(body);
  }
  const parsed = JSON.parse(bytes.toString()) as Record<string, unknown>;
  return isSingle ? [parsed] : (parsed["events"] as Record<string, unknown>[]);
}

/** Reads a socket in parts, and no further than it is asked to. */
class Reader {
  #buffer = Buffer.alloc(0);
  readonly #chunks: AsyncIterator<Buffer>;

  constructor(socket: net.Socket) {
    this.#chunks = socket.iterator({ destroyOnReturn: false });
  }

  /** Null at the end. */
  async head(): Promise<string | null> {
    let end = this.#buffer.indexOf("\r\n\r\n");
    while (end < 0) {
      if (!(await this.#more())) return null;
      end = this.#buffer.indexOf("\r\n\r\n");
    }
    const head = this.#buffer.subarray(0, end).toString();
    this.#buffer = this.#buffer.subarray(end + 4);
    return head;
  }

  async bytes(count: number): Promise<Buffer> {
    const parts: Buffer[] = [this.#buffer];
    let size = this.#buffer.length;
    while (size < count) {
      const next = await this.#chunks.next();
      if (next.done) throw new Error("the body ended early");
      parts.push(next.value);
      size += next.value.length;
    }
    const all = Buffer.concat(parts);
    this.#buffer = all.subarray(count);
    return all.subarray(0, count);
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done) return false;
    this.#buffer = Buffer.concat([this.#buffer, next.value]);
    return true;
  }
}
