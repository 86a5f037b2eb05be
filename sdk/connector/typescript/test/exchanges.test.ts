/** `exchanges.json`: what is sent, when, and what comes of it; by `post`, by `send`, and through a spool. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, type Encoding, type Endpoint, type Options, type Outcome, type RequestRecord } from "../src/index.js";
import { Server, type Got, type Reply } from "./server.js";
import { hasZstd, table, withFolder } from "./support.js";

interface Event {
  [name: string]: unknown;
  pad?: { repeat: string; times: number; salt?: number };
}

interface Given {
  batch_events?: number;
  batch_bytes?: number;
  max_attempts?: number;
  max_elapsed_ms?: number;
  request_timeout_ms?: number;
  encoding?: Encoding;
  endpoint?: Endpoint;
  bearer?: string[];
}

interface Case {
  name: string;
  modes?: string[];
  options?: Given;
  events: Event[];
  server: Reply[];
  requests: ({ keys: string[] | null; headers?: Record<string, string | null> } & Partial<
    Record<"connection" | "min_wait_ms" | "max_wait_ms", number> & Record<"method" | "path", string>
  >)[];
  outcomes: { status: string; attempts?: number; why?: string; findings?: string[]; event_id?: string; first_status?: string }[];
  metrics?: { events: number; attempt: number; http_status: number; receipts: object }[];
}

function options(url: string, given: Given, more: Partial<Options>): Options {
  const tokens = [...(given.bearer ?? [])];
  const token = (renew: boolean) => {
    if (renew) tokens.shift();
    return tokens[0] ?? "";
  };
  const named: Partial<Options> = {
    ...(given.batch_events ? { batchEvents: given.batch_events } : {}),
    ...(given.batch_bytes ? { batchBytes: given.batch_bytes } : {}),
    ...(given.max_attempts ? { maxAttempts: given.max_attempts } : {}),
    ...(given.max_elapsed_ms ? { maxElapsedMs: given.max_elapsed_ms } : {}),
    ...(given.encoding ? { encoding: given.encoding } : {}),
    ...(given.endpoint ? { endpoint: given.endpoint } : {}),
    requestTimeoutMs: given.request_timeout_ms ?? 5000,
  };
  const known = ["batch_events", "batch_bytes", "max_attempts", "max_elapsed_ms", "request_timeout_ms", "encoding", "endpoint", "bearer"];
  assert.deepEqual(Object.keys(given).filter((name) => !known.includes(name)), []);
  const credential = given.bearer ? { token } : { apiKey: "tg_test_key" };
  return { url, firstDelayMs: 1, maxDelayMs: 4, connections: 1, batchAgeMs: 3_600_000, ...credential, ...named, ...more };
}

function expanded(event: Event): Record<string, unknown> {
  if (!event.pad) return event;
  const { repeat, times, salt = 0 } = event.pad;
  return { ...event, pad: Array.from({ length: times }, (_, n) => `${repeat}${n * salt}`).join("") };
}

async function check(it: Case, mode: string, folder: string): Promise<void> {
  const server = await Server.start(it.server);
  try {
    const told: Outcome[] = [];
    const records: RequestRecord[] = [];
    const client = await Client.open(
      options(server.url, it.options ?? {}, {
        onOutcome: (outcome) => void told.push(outcome),
        onRequest: (record) => void records.push(record),
        ...(mode === "spool" ? { spool: folder } : {}),
      }),
    );
    let outcomes: Outcome[];
    const events = it.events.map(expanded);
    if (mode === "post") {
      outcomes = await client.post(events);
      assert.deepEqual(told, []);
      await client.close();
    } else {
      const keys = await Promise.all(events.map((event) => client.send(event)));
      assert.equal((await client.close(20_000)).spooled, 0);
      assert.equal(told.length, keys.length);
      outcomes = keys.map((key) => told.find((outcome) => outcome.key === key) as Outcome);
    }
    assert.deepEqual(server.failures, []);
    checkRequests(it.requests, server.got);
    checkOutcomes(it.outcomes, outcomes);
    assert.equal(records.length, it.requests.length);
    it.metrics?.forEach((expected, at) => {
      const { events, attempt, httpStatus: http_status, receipts } = records[at] as RequestRecord;
      assert.deepEqual({ events, attempt, http_status, receipts }, expected);
    });
  } finally {
    server.close();
  }
}

function checkRequests(expected: Case["requests"], got: Got[]): void {
  const minted = new Map<string, unknown>();
  const sent = got.map((request) => request.events?.map((event) => event["idempotencyKey"]) ?? null);
  expected.forEach((row, at) => {
    row.keys?.forEach((name, place) => {
      if (name.startsWith("$") && !minted.has(name)) minted.set(name, sent[at]?.[place]);
    });
  });
  assert.equal(new Set(minted.values()).size, minted.size);
  assert.deepEqual(sent, expected.map((row) => row.keys?.map((name) => minted.get(name) ?? name) ?? null));
  expected.forEach((row, at) => {
    const request = got[at] as Got;
    for (const name of ["method", "path", "connection"] as const) assert.equal(request[name], row[name] ?? request[name]);
    for (const [name, value] of Object.entries(row.headers ?? {})) {
      assert.equal(request.headers[name] ?? null, value, name);
    }
    const waited = at ? request.at - (got[at - 1] as Got).answered : 0;
    assert.ok(waited >= (row.min_wait_ms ?? 0) && waited <= (row.max_wait_ms ?? Infinity), `waited ${waited} ms`);
  });
}

function checkOutcomes(expected: Case["outcomes"], outcomes: Outcome[]): void {
  assert.deepEqual(outcomes.map(({ status }) => status), expected.map(({ status }) => status));
  expected.forEach((row, at) => {
    const { attempts, why, receipt, status } = outcomes[at] as Outcome;
    assert.equal(attempts, row.attempts ?? attempts);
    assert.ok(why.includes(row.why ?? ""), why);
    if (!receipt) return;
    assert.equal(receipt.status, status);
    const codes = receipt.findings.map(({ code }) => code);
    assert.deepEqual(codes, row.findings ?? codes);
    assert.equal(receipt.eventId, row.event_id ?? receipt.eventId);
    assert.equal(receipt.firstStatus, row.first_status ?? receipt.firstStatus);
  });
}

for (const it of table<{ cases: Case[] }>("exchanges").cases) {
  for (const mode of it.modes ?? ["post", "send", "spool"]) {
    test(`${it.name} (${mode})`, async () => {
      if (it.name === "zstd" && !hasZstd) {
        await assert.rejects(Client.open(options("http://localhost", it.options ?? {}, {})), /zstd needs Node/);
        return;
      }
      await withFolder((folder) => check(it, mode, folder));
    });
  }
}
