/** The spool: its format, what a crash leaves behind, and that it is bounded. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Client, InvalidEvent, SpoolDamaged } from "../src/index.js";
import { Spool } from "../src/spool.js";
import { Server, type Got, type Reply } from "./server.js";
import { table, withFolder } from "./support.js";

interface Tables {
  written: { events: string[]; file: string; bytes: string };
  recovered: {
    name: string;
    files: Record<string, string>;
    position?: string;
    events: string[];
    torn_bytes: number;
    error?: string;
  }[];
}

const SPOOL = table<Tables>("spool");

function readAll(spool: Spool): string[] {
  return spool.read(10_000, 2 ** 30).map(([, event]) => event.toString());
}

test("what is written", () =>
  withFolder(async (folder) => {
    const spool = await Spool.open(folder, 1 << 20);
    for (const event of SPOOL.written.events) assert.ok(await spool.append(Buffer.from(event)));
    await spool.sync();
    assert.equal(fs.readFileSync(join(folder, SPOOL.written.file), "hex"), SPOOL.written.bytes);
    await spool.close();
  }));

for (const it of SPOOL.recovered) {
  test(`recovered: ${it.name}`, () =>
    withFolder(async (folder) => {
      for (const [name, bytes] of Object.entries(it.files)) fs.writeFileSync(join(folder, name), bytes, "hex");
      if (it.position !== undefined) fs.writeFileSync(join(folder, "position"), it.position);
      if (it.error !== undefined) {
        const content = () => fs.readdirSync(folder).map((name) => [name, fs.readFileSync(join(folder, name), "hex")]);
        const before = content();
        await assert.rejects(Spool.open(folder, 1 << 20), (error: Error) => {
          return error instanceof SpoolDamaged && error.message.includes(it.error ?? "");
        });
        assert.deepEqual(content(), before);
        return;
      }
      const spool = await Spool.open(folder, 1 << 20);
      assert.equal(spool.tornBytes, it.torn_bytes);
      assert.equal(spool.held().events, it.events.length);
      assert.deepEqual(readAll(spool), it.events);
      // What is added now stands where it can be read, behind what was recovered.
      await spool.append(Buffer.from('{"new":1}'));
      await spool.sync();
      assert.deepEqual(readAll(spool), ['{"new":1}']);
      await spool.close();
      const again = await Spool.open(folder, 1 << 20);
      assert.deepEqual([readAll(again), again.tornBytes], [[...it.events, '{"new":1}'], 0]);
      await again.close();
    }));
}

test("it belongs to one client, and to the next after a process that was killed", () =>
  withFolder(async (folder) => {
    const spool = await Spool.open(folder, 1 << 20);
    await assert.rejects(Spool.open(folder, 1 << 20), /in use/);
    await spool.close();
    // This process's id with another start: one that has ended, and whose id was given out again.
    fs.writeFileSync(join(folder, "owner"), `${process.pid} 1\n`);
    await (await Spool.open(folder, 1 << 20)).close();
  }));

/** Park and Miller's generator: the same numbers for the same seed. */
function dice(seed: number): () => number {
  let state = seed + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

test("against a list: nothing is lost, and what is settled in order never returns", async () => {
  // What is on the disk after a power cut is not its matter: memory will do.
  const memory = fs.existsSync("/dev/shm") ? "/dev/shm" : undefined;
  for (let seed = 0; seed < 20; seed += 1) await withFolder((folder) => walk(dice(seed), folder, seed), memory);
});

async function walk(next: () => number, folder: string, seed: number): Promise<void> {
  const most = next() < 0.5 ? 4096 : 20_000;
  let spool = await Spool.open(folder, most);
  let waiting: string[] = [];
  let open: [number, string][] = [];
  let settled = new Set<number>();
  for (let n = 0; n < 300; n += 1) {
    const step = next();
    if (step < 0.55) {
      const event = `${n}:${"x".repeat(next() * 300)}`;
      if (await spool.append(Buffer.from(event))) {
        waiting.push(event);
        await spool.sync();
      } else {
        assert.ok(waiting.length + open.length, "full, though it holds nothing");
      }
    } else if (step < 0.75) {
      for (const [number, event] of spool.read(1 + next() * 7, next() * 2000)) {
        assert.equal(event.toString(), waiting.shift());
        open.push([number, event.toString()]);
      }
    } else if (step < 0.97) {
      const some = open.map(([number]) => number).filter((number) => !settled.has(number) && next() < 0.6);
      some.forEach((number) => settled.add(number));
      await spool.settle(some);
      while (open[0] && settled.has(open[0][0])) open.shift();
    } else {
      await spool.close();
      spool = await Spool.open(folder, most);
      waiting = [...open.map(([, event]) => event), ...waiting];
      open = [];
      settled = new Set();
    }
    assert.equal(spool.held().events, waiting.length + open.length, `seed ${seed}`);
    const files = fs.readdirSync(folder).filter((name) => name.endsWith(".segment"));
    assert.ok(files.reduce((sum, name) => sum + fs.statSync(join(folder, name)).size, 0) <= most);
  }
  await spool.close();
}

test("many that wait for the disk at once are served, in their order", () =>
  withFolder(async (folder) => {
    const spool = await Spool.open(folder, 1 << 20);
    const events = Array.from({ length: 500 }, (_, n) => `{"n":${n}}`);
    const put = async (event: string) => {
      assert.ok(await spool.append(Buffer.from(event)));
      await spool.sync();
    };
    await Promise.all(events.map(put));
    assert.deepEqual(readAll(spool), events);
    await spool.close();
  }));

test("an event that never fits is refused", () =>
  withFolder(async (spool) => {
    const client = await Client.open({ url: "http://127.0.0.1:9", apiKey: "k", spool, spoolBytes: 4096 });
    await assert.rejects(client.send({ pad: "x".repeat(5000) }), InvalidEvent);
    await client.send({ pad: "x".repeat(3900) });
    assert.equal((await client.close(0)).spooled, 1);
  }));

test("what was taken is delivered after kill -9", () =>
  withFolder(async (folder) => {
    const delivered = new Set<unknown>();
    const script = (index: number, got: Got): Reply => {
      if (index % 7 === 3) return { status: 503, text: "" };
      for (const event of got.events ?? []) delivered.add(event["idempotencyKey"]);
      return index % 11 === 5 ? { break: true } : { status: 202, receipts: "accepted" };
    };
    const server = await Server.start(script);
    try {
      const next = dice(7);
      const taken: number[] = [];
      for (let run = 0; run < 6; run += 1) {
        taken.push(...(await killed(server.url, folder, (taken.at(-1) ?? 0) + 1000, 5 + next() * 400)));
      }
      const client = await Client.open({ url: server.url, apiKey: "k", spool: folder, firstDelayMs: 1, maxDelayMs: 10 });
      assert.ok(await client.flush(60_000));
      assert.deepEqual(client.held, { events: 0, bytes: 0 });
      await client.close();
      assert.ok(taken.length > 100);
      assert.deepEqual(taken.filter((n) => !delivered.has(`k-${n}`)), []);
      assert.deepEqual(server.failures, []);
    } finally {
      server.close();
    }
  }));

/** Kills a child after so many events that it has told as taken; answers all that it has told. */
function killed(url: string, folder: string, start: number, lines: number): Promise<number[]> {
  const program = fileURLToPath(new URL("spooler.js", import.meta.url));
  const child = spawn(process.execPath, [program, url, folder, String(start)], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let told = "";
    child.stdout.on("data", (chunk: Buffer) => {
      told += chunk.toString();
      if (told.split("\n").length > lines) child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("close", (_, signal) => {
      if (signal !== "SIGKILL") reject(new Error("the child ended by itself"));
      resolve(told.split("\n").slice(0, -1).map(Number));
    });
  });
}
