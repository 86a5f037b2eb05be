/** The tables that the connectors of all languages are held to, and folders that go away. */

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as zlib from "node:zlib";

/** A table; tests run in the package's folder. */
export function table<T>(name: string): T {
  return JSON.parse(fs.readFileSync(join("..", "conformance", `${name}.json`), "utf8")) as T;
}

export async function withFolder<T>(work: (folder: string) => Promise<T>, top = tmpdir()): Promise<T> {
  const folder = fs.mkdtempSync(join(top, "tidegate-connector-"));
  try {
    return await work(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

export const hasZstd = "zstdCompress" in zlib;
