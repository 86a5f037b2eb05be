/** What a client is told: where to, how much at once, how long to try. Checked once. */

import type { Outcome, RequestRecord } from "./outcome.js";

export type Endpoint = "batch" | "single";
export type Encoding = "identity" | "gzip" | "zstd";

/** Everything that a `Client` needs to know. */
export interface Options {
  /** `http://HOST:PORT` or `https://HOST:PORT` of the gateway, with or without a path before the API's own. */
  url: string;
  /** A PEM file with certificates of authorities that are trusted beside those that Node brings. */
  caFile?: string;
  /**
   * PEM files of a client's certificate (then those between it and the authority's) and of its key without a password,
   * for a gateway that asks for one.
   */
  identity?: { certificateFile: string; keyFile: string };
  /** A producer's key. Give this or `token`. */
  apiKey?: string;
  /** Answers a bearer token, before each request; `renew` is true after the last one was refused with 401. */
  token?: (renew: boolean) => string | Promise<string>;
  /**
   * The member of an event that holds its idempotency key: the one that the tenant's revision points at. An event
   * without it gets one when it is accepted. `null`: events go as they are, and one that is sent again may be
   * stored twice. Default `idempotencyKey`.
   */
  keyField?: string | null;
  /**
   * `batch`: `POST /v1/events/batch`, many events per request; or `single`: `POST /v1/events`, one event per request.
   * Default `batch`.
   */
  endpoint?: Endpoint;
  /** Events per request, 1 to 1000; always 1 for `single`. Default 100. */
  batchEvents?: number;
  /** Bytes of events per request; a longer event goes alone. Default 1 MiB. */
  batchBytes?: number;
  /** How long `Client.send` lets events wait for others to fill their batch. Default 50. */
  batchAgeMs?: number;
  /** Requests at once, 1 to 64: of `Client.send` together, and of each `Client.post`. Default 4. */
  connections?: number;
  /** How bodies of 1024 bytes or more are compressed; `zstd` needs Node 22.15 or later. Default `identity`. */
  encoding?: Encoding;
  /** How long one request may take, from the connection to the last byte of the answer. Default 30,000. */
  requestTimeoutMs?: number;
  /**
   * How often an event is sent at most, the first time included. Not for spooled events: they are tried until they
   * are settled. Default 10.
   */
  maxAttempts?: number;
  /** How long one batch is tried at most, waiting included. Not for spooled events. Default 120,000. */
  maxElapsedMs?: number;
  /** The wait before the second attempt is random between 0 and this, doubled each attempt. Default 100. */
  firstDelayMs?: number;
  /** The doubling stops here. Default 10,000. */
  maxDelayMs?: number;
  /** Events that `Client.send` keeps in memory, without a spool, until they are settled. Default 10,000. */
  queueEvents?: number;
  /** Bytes of these events. Default 64 MiB. */
  queueBytes?: number;
  /** Folder of the spool, made where it is missing. It belongs to one client at a time. */
  spool?: string;
  /** What the spool's segments may have on disk, 4 KiB or more. Default 1 GiB. */
  spoolBytes?: number;
  /** How long `Client.close` waits for what is not delivered yet. Default 30,000. */
  closeTimeoutMs?: number;
  /**
   * Called once for each event that `Client.send` took and that has come to its end. Calls do not overlap. Room is
   * made, and a spooled event is taken from the spool, when this has returned: it must not wait for room itself.
   */
  onOutcome?: (outcome: Outcome) => void | Promise<void>;
  /** Called after each request, with what metrics are made of. */
  onRequest?: (record: RequestRecord) => void;
}

type Optional = "apiKey" | "caFile" | "identity" | "token" | "spool" | "onOutcome" | "onRequest";
export type Checked = Required<Omit<Options, Optional>> & Pick<Options, Optional>;

const BOUNDS: [keyof Checked, number, number][] = [
  ["batchEvents", 1, 1000],
  ["batchBytes", 1, 2 ** 30],
  ["batchAgeMs", 0, 3_600_000],
  ["connections", 1, 64],
  ["requestTimeoutMs", 1, 3_600_000],
  ["maxAttempts", 1, 2 ** 31],
  ["maxElapsedMs", 0, 1e12],
  ["firstDelayMs", 0, 3_600_000],
  ["maxDelayMs", 0, 86_400_000],
  ["queueEvents", 1, 2 ** 31],
  ["queueBytes", 1, 2 ** 40],
  ["spoolBytes", 4096, 2 ** 50],
  ["closeTimeoutMs", 0, 1e12],
];

/** The options with their defaults. Throws `RangeError` where one is out of its bounds. */
export function checked(options: Options): Checked {
  const all: Checked = {
    keyField: "idempotencyKey",
    endpoint: "batch",
    batchEvents: 100,
    batchBytes: 1 << 20,
    batchAgeMs: 50,
    connections: 4,
    encoding: "identity",
    requestTimeoutMs: 30_000,
    maxAttempts: 10,
    maxElapsedMs: 120_000,
    firstDelayMs: 100,
    maxDelayMs: 10_000,
    queueEvents: 10_000,
    queueBytes: 64 << 20,
    spoolBytes: 2 ** 30,
    closeTimeoutMs: 30_000,
    ...options,
  };
  checkUrl(all.url);
  if (all.url.startsWith("http:") && (all.caFile !== undefined || all.identity !== undefined)) {
    // Who gives these does not mean to send a credential in the clear.
    throw new RangeError("certificates are given, which are for https://");
  }
  if ((all.apiKey === undefined) === (all.token === undefined)) throw new RangeError("give one of apiKey and token");
  if (all.apiKey !== undefined) checkCredential(all.apiKey);
  if (!["batch", "single"].includes(all.endpoint)) throw new RangeError("endpoint must be one of batch, single");
  if (!["identity", "gzip", "zstd"].includes(all.encoding)) {
    throw new RangeError("encoding must be one of identity, gzip, zstd");
  }
  if (all.keyField === "") throw new RangeError("keyField is empty; null is for events without a key");
  for (const [name, least, most] of BOUNDS) {
    const value = all[name] as number;
    if (!(value >= least && value <= most)) throw new RangeError(`${name} must be ${least} to ${most}, not ${value}`);
  }
  return all.endpoint === "single" ? { ...all, batchEvents: 1 } : all;
}

function checkUrl(text: string): void {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new RangeError(`\`${text}\` is no address of a gateway; write http://HOST:PORT`);
  }
  if (!["http:", "https:"].includes(url.protocol) || !url.hostname) {
    throw new RangeError(`\`${text}\` is no address of a gateway; write http://HOST:PORT`);
  }
  if (url.search || url.hash || url.username || url.password) {
    throw new RangeError("the address has a query, a fragment or a user name in it");
  }
}

/** The text, where a header can carry it. */
export function checkCredential(text: string): string {
  if (!/^[\x21-\x7e]+$/.test(text)) throw new RangeError("the credential holds characters that no header can carry");
  return text;
}
