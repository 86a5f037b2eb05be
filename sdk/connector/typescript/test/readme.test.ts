/** What the README shows: the same as in `readme/`, which compiles, and it runs against the real gateway. */

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { Gateway } from "./gateway.js";
import { withFolder } from "./support.js";

test("what the README shows compiles and runs", async () => {
  const blocks = [...fs.readFileSync("README.md", "utf8").matchAll(/```ts\n(.*?)```/gs)].map(([, block]) => block);
  const compiled = join(dirname(fileURLToPath(import.meta.url)), "readme");
  const gateway = await Gateway.start();
  const said: string[] = [];
  const log = console.log;
  console.log = (...words: unknown[]) => void said.push(words.join(" "));
  try {
    await withFolder(async (folder) => {
      fs.writeFileSync(join(folder, "api-key"), gateway.apiKey);
      for (const name of ["post", "spool"]) {
        const source = fs.readFileSync(join("test", "readme", `${name}.ts`), "utf8");
        assert.equal(blocks.shift(), source.replace("../../src/index.js", "tidegate-connector"));
        const code = fs.readFileSync(join(compiled, `${name}.js`), "utf8");
        const real = code
          .replace("http://127.0.0.1:8080", gateway.url)
          .replace('"api-key"', JSON.stringify(join(folder, "api-key")))
          .replace("/var/spool/readings", join(folder, "spool"));
        const path = join(compiled, `${name}.run.js`);
        fs.writeFileSync(path, real);
        await import(pathToFileURL(path).href);
      }
    });
  } finally {
    console.log = log;
    await gateway.remove();
  }
  assert.deepEqual(blocks, []);
  assert.equal(said.filter((line) => / accepted ?$/.test(line)).length, 3, said.join("\n"));
  assert.ok(said.includes("0 stay for the next start"));
});
