/** Bodies of requests: events joined to a batch, and compressed where that pays. */

import { promisify } from "node:util";
import * as zlib from "node:zlib";

import type { Event } from "./event.js";
import type { Encoding, Endpoint } from "./options.js";

const LEAST_COMPRESSED = 1024;
/** Gateways refuse what grows too much, as a bomb. */
const MOST_RATIO = 100;

/** An event on its way. */
export interface Item {
  /** Its place in what was accepted. */
  readonly number: number;
  readonly event: Event;
  attempts: number;
}

export type Encoder = (data: Buffer) => Promise<Buffer>;

/** Bytes of a batch that the event takes: itself and a comma. */
export function cost(item: Item): number {
  return item.event.bytes + 1;
}

/** The next batch, of at most so many events and bytes; a longer event goes alone. */
export function nextBatch(items: readonly Item[], from: number, events: number, bytes: number): Item[] {
  const batch: Item[] = [];
  let taken = 0;
  for (let at = from; at < items.length && batch.length < events; at += 1) {
    const item = items[at] as Item;
    if (batch.length && taken + cost(item) > bytes) break;
    batch.push(item);
    taken += cost(item);
  }
  return batch;
}

export function body(items: readonly Item[], endpoint: Endpoint): Buffer {
  if (endpoint === "single") return Buffer.from((items[0] as Item).event.text);
  return Buffer.from(`{"events":[${items.map((item) => item.event.text).join(",")}]}`);
}

/** Throws `RangeError` where this Node does not know the encoding. */
export function encoder(encoding: Encoding): Encoder {
  if (encoding === "gzip") {
    const gzip = promisify(zlib.gzip) as (data: Buffer, options: zlib.ZlibOptions) => Promise<Buffer>;
    return (data) => gzip(data, { level: 5 });
  }
  if (encoding === "zstd") {
    const found = (zlib as unknown as Record<string, unknown>)["zstdCompress"];
    if (typeof found !== "function") throw new RangeError("zstd needs Node 22.15 or later");
    return promisify(found as (data: Buffer, done: (error: Error | null, out: Buffer) => void) => void);
  }
  return async (data) => data;
}

/** The body as it is sent, and its encoding. */
export async function encoded(data: Buffer, encoding: Encoding, encode: Encoder): Promise<[Buffer, Encoding]> {
  if (encoding === "identity" || data.length < LEAST_COMPRESSED) return [data, "identity"];
  const small = await encode(data);
  if (small.length >= data.length || small.length * MOST_RATIO < data.length) return [data, "identity"];
  return [small, encoding];
}
