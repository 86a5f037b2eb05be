/**
 * Delivers one batch: sends it, and again what is left of it, within the retry policy. A batch that is refused as a
 * whole is halved until the events that spoil it stand alone.
 */

import { judge, type Answer, type Verdict } from "./answer.js";
import { body, encoded, type Encoder, type Item } from "./body.js";
import { checkCredential, type Checked } from "./options.js";
import type { Outcome, RequestRecord } from "./outcome.js";
import { backoff } from "./retry.js";
import { NoAnswer, Transport, type Tls } from "./transport.js";
import type { Halt } from "./waiting.js";

const PATHS = { batch: "/v1/events/batch", single: "/v1/events" };

/** Rows that were settled by one answer, with their outcomes. */
export type Settle = (rows: [Item, Outcome][]) => Promise<void>;
export type Note = (record: Omit<RequestRecord, "heldEvents" | "heldBytes">) => void;

/** No request can succeed; the events that it was about are settled as undelivered. */
export class Fatal extends Error {}

/** Whole requests failed for as long as the policy allows; their events are settled. */
export class GaveUp extends Error {}

/** What delivers batches over one connection. */
export class Delivery {
  readonly transport: Transport;
  #renew = false;

  constructor(
    private readonly options: Checked,
    private readonly encode: Encoder,
    private readonly halt: Halt,
    private readonly note: Note,
    tls: Tls,
    /** Never gives up. */
    private readonly endless: boolean,
    /** Told that no request can succeed, before the events are settled. */
    private readonly onFatal: (why: string) => void = () => {},
  ) {
    this.transport = new Transport(options.url, tls);
  }

  /** Settles every item. Rejects with `Fatal` or `GaveUp` after that, where the next batch would fare no better. */
  async deliver(items: Item[], settle: Settle): Promise<void> {
    const started = performance.now();
    const parts = [items];
    for (let part = parts.pop(); part; part = parts.pop()) {
      try {
        parts.push(...(await this.#part(part, started, settle)));
      } catch (error) {
        if (error instanceof Fatal || error instanceof GaveUp) {
          for (const left of parts.reverse()) await undelivered(left, error.message, settle);
        }
        throw error;
      }
    }
  }

  /** Answers both halves, the second first, where it must be cut. */
  async #part(items: Item[], started: number, settle: Settle): Promise<Item[][]> {
    for (let attempts = 1; ; attempts += 1) {
      const verdict = await this.#attempt(items, attempts, started);
      if (this.halt.isSet && verdict.kind !== "receipts") {
        await undelivered(items, "the client ended before the answer came", settle);
        return [];
      }
      let why: string;
      switch (verdict.kind) {
        case "receipts":
          items = await sort(items, verdict.receipts, settle);
          if (!items.length) return [];
          why = "its receipt says `retry`";
          break;
        case "split": {
          const [only] = items;
          if (items.length > 1 || !only) {
            const middle = Math.floor(items.length / 2);
            return [items.slice(middle), items.slice(0, middle)];
          }
          await settle([[only, withoutReceipt(only, "refused", verdict.why)]]);
          return [];
        }
        case "stop":
          this.onFatal(verdict.why);
          await undelivered(items, verdict.why, settle);
          throw new Fatal(verdict.why);
        case "again":
          why = verdict.why;
      }
      const delay = this.#delay(attempts, verdict.afterMs, started);
      if (typeof delay === "string") {
        await undelivered(items, `${why} (${delay})`, settle);
        if (verdict.kind === "again") throw new GaveUp(`${why} (${delay})`);
        return [];
      }
      if (await this.halt.wait(delay)) {
        await undelivered(items, `the client ended while it waited: ${why}`, settle);
        return [];
      }
    }
  }

  /** The wait before the next attempt, or why there is none. */
  #delay(attempts: number, askedMs: number | null, started: number): number | string {
    const { firstDelayMs, maxDelayMs, maxAttempts, maxElapsedMs } = this.options;
    const delay = backoff(firstDelayMs, maxDelayMs, attempts, askedMs);
    if (this.endless) return delay;
    if (attempts >= maxAttempts) return `after ${attempts} attempts`;
    if (performance.now() + delay >= started + maxElapsedMs) {
      return `within the ${maxElapsedMs} ms allowed` + (askedMs === null ? "" : `; it asked to wait ${askedMs} ms`);
    }
    return delay;
  }

  async #attempt(items: Item[], attempt: number, started: number): Promise<Verdict> {
    for (const item of items) item.attempts += 1;
    const left = this.endless ? Infinity : started + this.options.maxElapsedMs - performance.now();
    const limit = Math.max(1, Math.min(this.options.requestTimeoutMs, Math.ceil(left)));
    const [sent, encoding] = await encoded(body(items, this.options.endpoint), this.options.encoding, this.encode);
    const begun = performance.now();
    let answer: Answer | null = null;
    let verdict: Verdict;
    try {
      answer = await this.transport.post(PATHS[this.options.endpoint], await this.#headers(encoding), sent, limit);
      verdict = this.#judge(answer, items.length);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      verdict = { kind: "again", why: error.message, afterMs: null };
    }
    const receipts: RequestRecord["receipts"] = {};
    for (const { status } of verdict.kind === "receipts" ? verdict.receipts : []) {
      receipts[status] = (receipts[status] ?? 0) + 1;
    }
    this.note({
      events: items.length,
      attempt,
      httpStatus: answer?.status ?? 0,
      eventBytes: items.reduce((sum, item) => sum + item.event.bytes, 0),
      bodyBytes: sent.length,
      millis: performance.now() - begun,
      receipts,
    });
    return verdict;
  }

  #judge(answer: Answer, sent: number): Verdict {
    const verdict = judge(answer, sent, this.options.endpoint);
    if (answer.status !== 401 || !this.options.token) {
      this.#renew = false;
    } else if (!this.#renew && verdict.kind === "stop") {
      // The token may have expired; the next request asks for another.
      this.#renew = true;
      return { kind: "again", why: verdict.why, afterMs: null };
    }
    return verdict;
  }

  async #headers(encoding: string): Promise<Record<string, string>> {
    const headers: Record<string, string> = {
      "content-type": "application/json",
      "user-agent": "tidegate-connector-typescript",
    };
    if (encoding !== "identity") headers["content-encoding"] = encoding;
    if (this.options.token) {
      try {
        headers["authorization"] = `Bearer ${checkCredential(await this.options.token(this.#renew))}`;
      } catch (error) {
        // Who gives out tokens may be away for a while, as the gateway may.
        throw new NoAnswer(`there is no token: ${(error as Error).message}`);
      }
    } else if (this.options.apiKey !== undefined) {
      headers["x-api-key"] = this.options.apiKey;
    }
    return headers;
  }
}

/** Settles what has its receipt; answers what is to be sent again. */
async function sort(items: Item[], receipts: NonNullable<Outcome["receipt"]>[], settle: Settle): Promise<Item[]> {
  const settled: [Item, Outcome][] = [];
  const left: Item[] = [];
  items.forEach((item, at) => {
    const receipt = receipts[at];
    if (!receipt || receipt.status === "retry") {
      left.push(item);
    } else {
      const { text, key } = item.event;
      const { status } = receipt;
      settled.push([item, { status, event: text, key, attempts: item.attempts, receipt, why: "" }]);
    }
  });
  await settle(settled);
  return left;
}

export function withoutReceipt(item: Item, status: "refused" | "undelivered", why: string): Outcome {
  return { status, event: item.event.text, key: item.event.key, attempts: item.attempts, why };
}

async function undelivered(items: Item[], why: string, settle: Settle): Promise<void> {
  await settle(items.map((item) => [item, withoutReceipt(item, "undelivered", why)]));
}
