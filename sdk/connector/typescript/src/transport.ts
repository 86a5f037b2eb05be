/** One HTTP/1.1 connection that is kept alive, with a limit on the time of the whole exchange. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { createSecureContext, rootCertificates } from "node:tls";

import type { Answer } from "./answer.js";
import type { Checked } from "./options.js";

const MOST_ANSWER_BYTES = 64 << 20;
/**
 * Longer bodies are sent when the gateway has said that it wants them. One that it refuses it does not read, and Node loses
 * an answer that is there while a write fails.
 */
const LONGEST_UNASKED_BYTES = 512 << 10;
/** How long that is waited for: not every server says it. */
const ASK_LIMIT_MS = 1000;

/** There is no whole answer; the same request may succeed later. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
}

/** What `https://` is spoken with, where it is not what Node does by itself. */
export type Tls = { ca?: string[]; cert?: string; key?: string };

/** Throws `RangeError` where a file cannot be used. */
export function tlsOf(options: Pick<Checked, "caFile" | "identity">): Tls {
  const { caFile, identity } = options;
  const certificates = (name: string, file: string): string => {
    const text = read(name, file);
    try {
      new X509Certificate(text);
    } catch (error) {
      throw new RangeError(`${name} ${file} cannot be used: ${(error as Error).message}`);
    }
    return text;
  };
  const tls: Tls = {};
  if (caFile !== undefined) tls.ca = [...rootCertificates, certificates("caFile", caFile)];
  if (identity) {
    tls.cert = certificates("certificateFile", identity.certificateFile);
    tls.key = read("keyFile", identity.keyFile);
    try {
      createSecureContext(tls);
    } catch (error) {
      throw new RangeError(`keyFile ${identity.keyFile} cannot be used: ${(error as Error).message}`);
    }
  }
  return tls;
}

function read(name: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new RangeError(`${name} ${file} cannot be used: ${(error as Error).message}`);
  }
}

/** Asks one gateway, one request at a time. */
export class Transport {
  readonly #url: URL;
  readonly #agent: http.Agent;
  #cancel: ((why: string) => void) | null = null;
  #aborted = false;

  constructor(url: string, tls: Tls) {
    this.#url = new URL(url);
    const options = { keepAlive: true, maxSockets: 1, noDelay: true };
    this.#agent = this.#url.protocol === "https:" ? new https.Agent({ ...options, ...tls }) : new http.Agent(options);
  }

  /** Rejects with `NoAnswer` where there is no whole answer within the limit. */
  post(path: string, headers: http.OutgoingHttpHeaders, body: Buffer, limitMs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#aborted) return reject(new NoAnswer("the client was closed"));
      const asks = body.length > LONGEST_UNASKED_BYTES;
      const options = {
        method: "POST",
        agent: this.#agent,
        headers: { ...headers, "content-length": body.length, ...(asks ? { expect: "100-continue" } : {}) },
      };
      const url = new URL(this.#url.pathname.replace(/\/+$/, "") + path, this.#url);
      const request = (url.protocol === "https:" ? https : http).request(url, options);
      const cancel = (why: string) => {
        clearTimeout(timer);
        this.#cancel = null;
        request.destroy();
        reject(new NoAnswer(why));
      };
      const base = this.#url.origin;
      const timer = setTimeout(() => cancel(`no answer from ${base} within ${limitMs} ms`), limitMs);
      this.#cancel = cancel;
      request.on("error", (error) => cancel(`no whole answer from ${base}: ${error.message}`));
      request.on("response", (response) => {
        collect(response).then(
          (text) => {
            clearTimeout(timer);
            this.#cancel = null;
            // An answer to a body that was not sent leaves the connection in the middle.
            if (!request.writableEnded) request.destroy();
            resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], body: text });
          },
          (error: Error) => cancel(`no whole answer from ${base}: ${error.message}`),
        );
      });
      if (asks) {
        const send = () => {
          clearTimeout(unasked);
          if (!request.destroyed && !request.writableEnded) request.end(body);
        };
        const unasked = setTimeout(send, ASK_LIMIT_MS);
        request.on("continue", send);
        request.on("response", () => clearTimeout(unasked));
        request.on("close", () => clearTimeout(unasked));
        request.flushHeaders();
      } else {
        request.end(body);
      }
    });
  }

  /** Ends the exchange that is under way, and every later one. */
  abort(): void {
    this.#aborted = true;
    this.#cancel?.("the client was closed");
    this.#agent.destroy();
  }
}

async function collect(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_ANSWER_BYTES) throw new Error("the answer is too large");
    chunks.push(chunk);
  }
  if (!response.complete) throw new Error("the answer ended in the middle");
  return Buffer.concat(chunks).toString();
}
