/** `rules.json`: waits, answers and events, each a function without a network. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { judge } from "../src/answer.js";
import { prepare, prepared, type AnyEvent } from "../src/event.js";
import { InvalidEvent, type Endpoint } from "../src/index.js";
import { backoff, retryAfter } from "../src/retry.js";
import { receipts } from "./server.js";
import { table } from "./support.js";

interface Rules {
  backoff: Record<"first_delay_ms" | "max_delay_ms" | "attempts" | "random" | "delay_ms", number>[];
  retry_after: { now: string; header: string; wait_ms: number | null }[];
  answers: {
    endpoint?: Endpoint;
    status: number;
    headers?: Record<string, string>;
    receipts?: string[];
    text?: string;
    verdict: string;
    wait_ms?: number | null;
    receipt?: string;
    why?: string;
  }[];
  events: { text: string; key_field?: string | null; key?: string | null; sent?: string; error?: string }[];
}

const RULES = table<Rules>("rules");

test("backoff", () => {
  for (const row of RULES.backoff as (Rules["backoff"][number] & { asked_ms: number | null })[]) {
    const delay = backoff(row.first_delay_ms, row.max_delay_ms, row.attempts, row.asked_ms, row.random);
    assert.equal(delay, row.delay_ms, JSON.stringify(row));
  }
});

test("the jitter is full", () => {
  const delays = Array.from({ length: 1000 }, () => backoff(1000, 1000, 1, null));
  assert.ok(Math.min(...delays) < 100 && Math.max(...delays) > 900 && Math.max(...delays) <= 1000);
});

test("Retry-After", () => {
  for (const row of RULES.retry_after) {
    assert.equal(retryAfter(row.header, Date.parse(row.now)), row.wait_ms, row.header);
  }
});

test("answers", () => {
  for (const row of RULES.answers) {
    const body = row.receipts ? JSON.stringify({ receipts: receipts(row.receipts, 1) }) : (row.text ?? "");
    const verdict = judge({ status: row.status, retryAfter: row.headers?.["retry-after"], body }, 1, row.endpoint ?? "batch");
    assert.equal(verdict.kind, row.verdict, JSON.stringify(row));
    if (verdict.kind === "receipts" && row.receipt) assert.equal(verdict.receipts[0]?.status, row.receipt);
    if ("afterMs" in verdict && row.wait_ms !== undefined) assert.equal(verdict.afterMs, row.wait_ms);
    if (verdict.kind !== "receipts") assert.ok(verdict.why.includes(row.why ?? ""), verdict.why);
  }
});

test("events", () => {
  for (const row of RULES.events) {
    for (const given of [row.text, Buffer.from(row.text)]) {
      const field = row.key_field === undefined ? "idempotencyKey" : row.key_field;
      if (row.error !== undefined) {
        assert.throws(() => prepare(given, field), { name: "InvalidEvent", message: new RegExp(row.error) });
        continue;
      }
      const event = prepare(given, field);
      const key = row.key === "MINTED" ? event.key : row.key;
      assert.equal(event.key, key);
      assert.equal(event.text, row.sent?.replace("MINTED", key ?? ""));
      assert.equal(event.bytes, Buffer.byteLength(event.text));
      assert.deepEqual(prepared(event.text, field), event);
    }
  }
});

test("objects are written as JSON", () => {
  assert.equal(prepare({ idempotencyKey: "é", n: [1, null] }, "idempotencyKey").text, '{"idempotencyKey":"é","n":[1,null]}');
  for (const wrong of [{ n: 1n }, undefined, [1], null, Buffer.from([0x7b, 0xff, 0x7d])]) {
    assert.throws(() => prepare(wrong as unknown as AnyEvent, "idempotencyKey"), InvalidEvent);
  }
});
