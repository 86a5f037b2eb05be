import { readFileSync } from "node:fs";
import { Client, isTaken } from "../../src/index.js";

const client = await Client.open({
  url: "http://127.0.0.1:8080",
  apiKey: readFileSync("api-key", "utf8").trim(),
  spool: "/var/spool/readings",
  onOutcome: (outcome) => console.log(isTaken(outcome), outcome.status),
});
await client.send({ eventType: "reading", n: 3 }); // on the disk when this resolves
await client.flush(10_000);
const report = await client.close(10_000);
console.log(`${report.spooled} stay for the next start`);
