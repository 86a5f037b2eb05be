/** The client in time: who waits, for how long, and what is told at the end. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Client, Closed, Full, InvalidEvent, Stopped, type Options, type Outcome } from "../src/index.js";
import { Server, type Reply, type Script } from "./server.js";
import { withFolder } from "./support.js";

const ACCEPTED: Reply = { status: 202, receipts: "accepted" };

async function withClient(
  script: Script | Reply[],
  options: Partial<Options>,
  work: (client: Client, server: Server) => Promise<void>,
): Promise<void> {
  const server = await Server.start(script);
  const credential = options.token ? {} : { apiKey: "k" };
  const client = await Client.open({ url: server.url, firstDelayMs: 1, maxDelayMs: 4, ...credential, ...options });
  try {
    await work(client, server);
    assert.deepEqual(server.failures, []);
  } finally {
    await client.close(0);
    server.close();
  }
}

/** A script that holds its answers back until it is opened. */
function gate(): { script: Script; open: () => void; asked: Promise<void> } {
  let open = () => {};
  let ask = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  const asked = new Promise<void>((resolve) => (ask = resolve));
  const script = async () => {
    ask();
    await opened;
    return ACCEPTED;
  };
  return { script, open: () => open(), asked };
}

for (const kind of ["events", "bytes", "spool"]) {
  test(`send waits for room or tells (${kind})`, () =>
    withFolder(async (folder) => {
      const { script, open } = gate();
      const more = { events: { queueEvents: 3 }, bytes: { queueBytes: 3 * 153 }, spool: { spool: folder, spoolBytes: 4096 } };
      const options = { batchEvents: 1, connections: 1, ...more[kind as keyof typeof more] };
      await withClient(script, options, async (client, server) => {
        const event = { idempotencyKey: "k", pad: "x".repeat(121) };
        let taken = 0;
        const fill = async () => {
          for (;;) {
            await client.send(event, 50);
            taken += 1;
          }
        };
        await assert.rejects(fill(), Full);
        assert.equal(taken, kind === "spool" ? 25 : 3);
        assert.equal(client.held.events, taken);
        const waiting = client.send(event).then(() => "taken");
        assert.equal(await Promise.race([waiting, sleep(50, "waits")]), "waits");
        open();
        assert.equal(await waiting, "taken");
        assert.ok(await client.flush(30_000));
        assert.equal(server.got.reduce((sum, got) => sum + (got.events?.length ?? 0), 0), taken + 1);
      });
    }));
}

test("events keep their order while they wait for room", () =>
  withClient(() => ACCEPTED, { queueEvents: 2, connections: 1 }, async (client, server) => {
    await Promise.all(Array.from({ length: 50 }, (_, n) => client.send({ n })));
    assert.ok(await client.flush(30_000));
    const numbers = server.got.flatMap((got) => got.events?.map((event) => event["n"]));
    assert.deepEqual(numbers, Array.from({ length: 50 }, (_, n) => n));
  }));

test("what never fits is refused at once", () =>
  withClient(() => ACCEPTED, { queueBytes: 100 }, async (client) => {
    await assert.rejects(client.send({ pad: "x".repeat(100) }), InvalidEvent);
  }));

test("age ends the wait for company", () => {
  let settled = () => {};
  const told = new Promise<void>((resolve) => (settled = resolve));
  return withClient(() => ACCEPTED, { batchAgeMs: 200, onOutcome: () => settled() }, async (client, server) => {
    const begun = performance.now();
    await client.send({ n: 1 });
    await client.send({ n: 2 });
    await told;
    assert.ok(performance.now() - begun >= 199);
    assert.deepEqual(server.got.map((got) => got.events?.length), [2]);
  });
});

test("connections work at once", () => {
  const waiting: (() => void)[] = [];
  const together = () =>
    new Promise<Reply>((resolve) => {
      waiting.push(() => resolve(ACCEPTED));
      if (waiting.length === 3) waiting.splice(0).forEach((go) => go());
    });
  return withClient(together, { batchEvents: 1, connections: 3 }, async (client, server) => {
    for (let n = 0; n < 6; n += 1) await client.send({ n });
    assert.ok(await client.flush(30_000));
    assert.equal(new Set(server.got.map((got) => got.connection)).size, 3);
  });
});

for (const keep of [false, true]) {
  test(`close tells what was not delivered (${keep ? "spool" : "memory"})`, () =>
    withFolder(async (folder) => {
      const { script, open, asked } = gate();
      const told: Outcome[] = [];
      const options = { connections: 1, batchEvents: 2, ...(keep ? { spool: folder } : {}) };
      await withClient(script, { ...options, onOutcome: (one) => void told.push(one) }, async (client) => {
        const keys = await Promise.all([1, 2, 3, 4, 5].map((n) => client.send({ n })));
        await asked;
        const begun = performance.now();
        const report = await client.close(100);
        assert.ok(performance.now() - begun < 5000);
        if (keep) {
          assert.deepEqual([report, told], [{ undelivered: [], spooled: 5 }, []]);
        } else {
          assert.deepEqual(report, { undelivered: told, spooled: 0 });
          assert.deepEqual(told.map(({ key }) => key), keys);
          assert.deepEqual(told.map(({ attempts }) => attempts), [1, 1, 0, 0, 0]);
        }
        assert.equal(await client.close(), report);
        await assert.rejects(client.send({ n: 9 }), (error) => error instanceof Stopped || error instanceof Closed);
        open();
      });
    }));
}

test("post uses all connections and answers in order", () => {
  let waiting: (() => void)[] = [];
  const script = async () => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length < 3) return;
      for (const wake of waiting) wake();
      waiting = [];
    });
    return ACCEPTED;
  };
  return withClient(script, { batchEvents: 2, connections: 3 }, async (client, server) => {
    const keys = Array.from({ length: 6 }, (_, n) => `k-${n}`);
    for (let n = 0; n < 2; n += 1) {
      const outcomes = await client.post(keys.map((idempotencyKey) => ({ idempotencyKey })));
      assert.deepEqual(outcomes.map(({ key }) => key), keys);
      assert.ok(outcomes.every(({ status }) => status === "accepted"));
    }
    assert.equal(new Set(server.got.map(({ connection }) => connection)).size, 3);
  });
});

test("what a callback throws ends a post", () => {
  const onRequest = () => {
    throw new TypeError("the metrics are gone");
  };
  return withClient(() => ACCEPTED, { batchEvents: 1, connections: 3, onRequest }, async (client, server) => {
    await assert.rejects(client.post(Array.from({ length: 50 }, (_, n) => ({ n }))), TypeError);
    assert.ok(server.got.length < 10);
  });
});

test("close delivers what it can", () =>
  withClient((at) => (at < 3 ? { status: 503, text: "" } : ACCEPTED), {}, async (client) => {
    await client.send({ n: 1 });
    assert.deepEqual(await client.close(30_000), { undelivered: [], spooled: 0 });
  }));

test("refused credentials stop the client and tell why", () => {
  const told: Outcome[] = [];
  const script = () => ({ status: 403, body: { title: "the API key was revoked" } });
  return withClient(script, { onOutcome: (one) => void told.push(one) }, async (client) => {
    await client.send({ n: 1 });
    assert.equal(await client.flush(30_000), false);
    await assert.rejects(client.send({ n: 2 }), { name: "Stopped", message: /revoked/ });
    assert.deepEqual(told.map(({ status }) => status), ["undelivered"]);
  });
});

test("a spool keeps what refused credentials left", () =>
  withFolder(async (spool) => {
    const script = [{ status: 401, body: { title: "unknown" } }, ACCEPTED];
    await withClient(script, { spool, batchAgeMs: 3_600_000 }, async (client, server) => {
      await client.send({ n: 1 });
      await client.send({ n: 2 });
      assert.equal(await client.flush(30_000), false);
      assert.deepEqual(await client.close(), { undelivered: [], spooled: 2 });
      const next = await Client.open({ url: server.url, apiKey: "k", spool });
      assert.ok(await next.flush(30_000));
      await next.close();
      assert.equal(server.got[0]?.events?.length, 2);
      assert.deepEqual(server.got[1]?.events, server.got[0]?.events);
    });
  }));

test("a callback that fails stops the client and settles nothing", () =>
  withFolder(async (spool) => {
    const onOutcome = async () => {
      throw new Error("the ledger is gone");
    };
    await withClient(() => ACCEPTED, { spool, onOutcome }, async (client) => {
      await client.send({ n: 1 });
      assert.equal(await client.flush(30_000), false);
      await assert.rejects(client.send({ n: 2 }), { name: "Stopped", message: /the ledger is gone/ });
      assert.equal((await client.close()).spooled, 1);
    });
  }));

test("a callback without a token is asked again", () => {
  const asked: boolean[] = [];
  const token = async (renew: boolean) => {
    asked.push(renew);
    if (asked.length < 3) throw new Error("the issuer is away");
    return "t";
  };
  return withClient(() => ACCEPTED, { token }, async (client, server) => {
    const [outcome] = await client.post([{ n: 1 }]);
    assert.deepEqual([outcome?.status, asked], ["accepted", [false, false, false]]);
    assert.equal(server.got[0]?.headers["authorization"], "Bearer t");
  });
});

test("options are checked", async () => {
  const cases: [object, RegExp][] = [
    [{ url: "h:1" }, /address/], [{ url: "ftp://h" }, /address/], [{ url: "http://u@h" }, /user name/],
    [{ url: "http://h?q" }, /query/], [{ apiKey: undefined }, /one of/], [{ token: () => "t" }, /one of/],
    [{ apiKey: "a\nb" }, /header/], [{ encoding: "br" }, /encoding/], [{ batchEvents: 0 }, /batchEvents/],
    [{ connections: 65 }, /connections/], [{ spoolBytes: 100 }, /spoolBytes/], [{ keyField: "" }, /keyField/],
    [{ batchAgeMs: NaN }, /batchAgeMs/],
  ];
  for (const [wrong, message] of cases) {
    await assert.rejects(Client.open({ url: "http://h", apiKey: "k", ...wrong }), { name: "RangeError", message });
  }
});
