/**
 * Over TLS: who is trusted, who a gateway wants to see a certificate of, and what is said where that fails. The certificates
 * are made by `openssl`.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import * as tls from "node:tls";

import { Client, type Options, type Outcome } from "../src/index.js";
import { Server } from "./server.js";
import { withFolder } from "./support.js";

/** Makes an authority, and certificates that it has signed. */
function makeCertificates(folder: string): void {
  const openssl = (words: string, key = "") => {
    const made = key ? `-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${key}` : "";
    execFileSync("openssl", `${words} ${made}`.trim().split(" "), { cwd: folder, stdio: "pipe" });
  };
  openssl("req -x509 -subj /CN=authority -days 2 -out ca.pem", "ca.key");
  for (const [name, extension] of [["server", "subjectAltName=IP:127.0.0.1"], ["client", "extendedKeyUsage=clientAuth"]]) {
    fs.writeFileSync(join(folder, "extension"), extension as string);
    openssl(`req -subj /CN=${name} -out request`, `${name}.key`);
    const by = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extension";
    openssl(`x509 -req -in request ${by} -out ${name}.pem`);
  }
}

/** Speaks TLS before a server that accepts; the work gets its URL. */
async function withServer(folder: string, asks: boolean, work: (url: string, plain: Server) => Promise<void>): Promise<void> {
  const plain = await Server.start(() => ({ status: 202, receipts: "accepted" }));
  const file = (name: string) => fs.readFileSync(join(folder, name));
  const options = { cert: file("server.pem"), key: file("server.key"), ca: file("ca.pem"), requestCert: asks };
  const sockets: net.Socket[] = [];
  const server = tls.createServer(options, (socket) => {
    const to = net.connect(Number(new URL(plain.url).port), "127.0.0.1");
    sockets.push(socket, to);
    socket.on("error", () => to.destroy()).pipe(to).on("error", () => socket.destroy()).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`https://127.0.0.1:${(server.address() as net.AddressInfo).port}`, plain);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
    plain.close();
  }
}

async function post(url: string, more: Partial<Options>): Promise<Outcome[]> {
  const client = await Client.open({ url, apiKey: "k", maxAttempts: 2, firstDelayMs: 1, batchEvents: 1, ...more });
  try {
    return await client.post([{ n: 1 }, { n: 2 }]);
  } finally {
    await client.close();
  }
}

test("over TLS", async (t) => {
  await withFolder(async (folder) => {
    makeCertificates(folder);
    const caFile = join(folder, "ca.pem");
    const identity = { certificateFile: join(folder, "client.pem"), keyFile: join(folder, "client.key") };

    await t.test("only those who are trusted see an event", () =>
      withServer(folder, false, async (url, plain) => {
        for (const outcome of await post(url, {})) assert.match(outcome.why, /certificate/);
        assert.deepEqual(plain.got, []);
        const outcomes = await post(url, { caFile, connections: 1 });
        assert.deepEqual(outcomes.map(({ status }) => status), ["accepted", "accepted"]);
        assert.equal(new Set(plain.got.map(({ connection }) => connection)).size, 1);
        const [outcome] = await post(url.replace("127.0.0.1", "localhost"), { caFile });
        assert.match(outcome?.why ?? "", /does not match certificate/);
      }),
    );

    await t.test("a gateway that asks for a certificate gets it", () =>
      withServer(folder, true, async (url, plain) => {
        for (const outcome of await post(url, { caFile })) assert.equal(outcome.status, "undelivered");
        assert.deepEqual(plain.got, []);
        const outcomes = await post(url, { caFile, identity });
        assert.deepEqual(outcomes.map(({ status }) => status), ["accepted", "accepted"]);
      }),
    );

    await t.test("files that cannot be used are named", async () => {
      const [plain, none] = [join(folder, "plain.txt"), join(folder, "none.pem")];
      fs.writeFileSync(plain, "no PEM");
      for (const [more, part] of [
        [{ caFile: none }, /none\.pem/],
        [{ caFile: plain }, /plain\.txt/],
        [{ identity: { ...identity, certificateFile: plain } }, /plain\.txt/],
        [{ identity: { ...identity, keyFile: none } }, /none\.pem/],
        [{ identity: { ...identity, keyFile: join(folder, "server.key") } }, /server\.key/],
      ] as [Partial<Options>, RegExp][]) {
        await assert.rejects(post("https://gateway", more), part);
      }
      await assert.rejects(post("http://gateway", { caFile }), /https/);
    });
  });
});
