/** Against the real gateway: what a receipt says is what was stored. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, isTaken, type Options, type Outcome } from "../src/index.js";
import { Gateway } from "./gateway.js";
import { withFolder } from "./support.js";

let gateway: Gateway;

before(async () => {
  gateway = await Gateway.start();
});
after(() => gateway?.remove());

async function withClient(options: Partial<Options>, work: (client: Client) => Promise<void>): Promise<void> {
  const client = await Client.open({
    url: gateway.url, apiKey: gateway.apiKey, firstDelayMs: 10, maxDelayMs: 100, ...options,
  });
  try {
    await work(client);
  } finally {
    await client.close(0);
  }
}

test("each status arrives where it belongs", () =>
  withClient({}, async (client) => {
    const first = { idempotencyKey: "s-1", n: 1 };
    const outcomes = await client.post([
      first,
      { idempotencyKey: "s-2" },
      first,
      { idempotencyKey: "s-1", n: 2 },
      { idempotencyKey: "s-3", n: 3, pad: "x".repeat(5 << 20) },
      { n: 5 },
    ]);
    assert.deepEqual(outcomes.map(({ status }) => status), [
      "accepted", "rejected", "duplicate", "conflict", "refused", "accepted",
    ]);
    const [accepted, rejected, , , refused, last] = outcomes as [Outcome, Outcome, Outcome, Outcome, Outcome, Outcome];
    assert.deepEqual(rejected.receipt?.findings.map(({ rule, severity }) => [rule, severity]), [["schema", "hard"]]);
    assert.match(refused.why, /too large/);
    const again = await client.post([first, last.event]);
    assert.deepEqual(
      again.map(({ status, receipt }) => [status, receipt?.firstStatus, receipt?.eventId]),
      [accepted, last].map(({ receipt }) => ["duplicate", "accepted", receipt?.eventId]),
    );
  }));

test("compressed bodies are understood", () => {
  let sent = 0;
  return withClient({ encoding: "gzip", onRequest: ({ bodyBytes }) => (sent += bodyBytes) }, async (client) => {
    const outcomes = await client.post(Array.from({ length: 300 }, (_, n) => ({ n, pad: String(n * 7919).repeat(20) })));
    assert.ok(outcomes.every(({ status }) => status === "accepted"));
    assert.ok(sent < outcomes.reduce((sum, { event }) => sum + event.length, 0) / 2);
  });
});

test("unknown keys stop the client", () =>
  withClient({ apiKey: "tg_live_nobody" }, async (client) => {
    const [outcome] = await client.post([{ n: 1 }]);
    assert.deepEqual([outcome?.status, outcome?.attempts], ["undelivered", 1]);
    assert.match(outcome?.why ?? "", /credentials/);
  }));

test("events survive a gateway that is killed", () =>
  withFolder(async (spool) => {
    const told: Outcome[] = [];
    let reached = () => {};
    const halfway = new Promise<void>((resolve) => (reached = resolve));
    const onOutcome = (outcome: Outcome) => {
      if (told.push(outcome) === 500) reached();
    };
    const keys = Array.from({ length: 2000 }, (_, n) => `g-${n}`);
    await withClient({ spool, onOutcome, batchEvents: 20 }, async (client) => {
      const feeding = (async () => {
        for (const [n, idempotencyKey] of keys.entries()) await client.send({ idempotencyKey, n });
      })();
      await halfway;
      await gateway.kill();
      await gateway.start();
      await feeding;
      assert.ok(await client.flush(60_000));
    });
    assert.deepEqual(told.map(({ key }) => key).sort(), [...keys].sort());
    assert.ok(told.every(isTaken));
    await withClient({}, async (client) => {
      const again = await client.post(told.map(({ event }) => event));
      assert.ok(again.every(({ status }) => status === "duplicate"));
    });
  }));
