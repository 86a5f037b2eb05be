/** A process that sends events through a spool until it is killed, and prints the number of each that was taken. */

import { Client } from "../src/index.js";

const [url = "", spool = "", start = "0"] = process.argv.slice(2);
const client = await Client.open({
  url, spool, apiKey: "k", batchAgeMs: 1, firstDelayMs: 1, maxDelayMs: 10, spoolBytes: 1 << 20,
});
for (let n = Number(start); ; n += 1) {
  await client.send({ idempotencyKey: `k-${n}`, n });
  process.stdout.write(`${n}\n`);
}
