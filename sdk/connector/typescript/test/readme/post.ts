import { readFileSync } from "node:fs";
import { Client } from "../../src/index.js";

const apiKey = readFileSync("api-key", "utf8").trim();
const client = await Client.open({ url: "http://127.0.0.1:8080", apiKey });
for (const outcome of await client.post([{ eventType: "reading", n: 1 }, { eventType: "reading", n: 2 }])) {
  console.log(outcome.key, outcome.status, outcome.why);
}
await client.close();
