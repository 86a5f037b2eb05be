/** Reads the gateway's answer and decides what follows from it. */

import type { Endpoint } from "./options.js";
import { STATUSES, type Finding, type Receipt, type Status } from "./outcome.js";
import { retryAfter } from "./retry.js";

const QUOTED_CHARACTERS = 200;

export interface Answer {
  status: number;
  retryAfter: string | undefined;
  body: string;
}

export type Verdict =
  /** As many as events were sent, in their order. */
  | { kind: "receipts"; receipts: Receipt[]; afterMs: number | null }
  /** The same request may succeed later. */
  | { kind: "again"; why: string; afterMs: number | null }
  /** Some event makes the whole request unacceptable. */
  | { kind: "split"; why: string }
  /** No request can succeed. */
  | { kind: "stop"; why: string };

type Members = Record<string, unknown>;

export function judge(answer: Answer, sent: number, endpoint: Endpoint): Verdict {
  const body = parsed(answer.body);
  const afterMs = after(body, answer.retryAfter);
  const receipts = receiptsOf(body) ?? (endpoint === "single" ? singleReceipt(body) : null);
  if (receipts !== null) {
    if (receipts.length !== sent) {
      return { kind: "stop", why: `the gateway answered ${receipts.length} receipts for ${events(sent)}` };
    }
    const asked = [afterMs, ...receipts.map((receipt) => receipt.retryAfterMs ?? null)];
    const waits = asked.filter((wait): wait is number => wait !== null);
    return { kind: "receipts", receipts, afterMs: waits.length ? Math.max(...waits) : null };
  }
  const { status } = answer;
  const why = problem(body, answer);
  if ([408, 409, 429].includes(status) || status >= 500) return { kind: "again", why, afterMs };
  if ([400, 413, 422].includes(status)) return { kind: "split", why };
  if (status < 300) return { kind: "stop", why: `the answer holds no receipts that can be read (${status})` };
  return { kind: "stop", why };
}

function events(count: number): string {
  return count === 1 ? "1 event" : `${count} events`;
}

function parsed(text: string): Members {
  try {
    return members(JSON.parse(text));
  } catch {
    return {};
  }
}

function members(value: unknown): Members {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

function after(body: Members, header: string | undefined): number | null {
  const millis = body["retry_after_ms"];
  return typeof millis === "number" && millis >= 0 ? millis : retryAfter(header);
}

/** The receipts of a body, or null where not every one can be read. */
function receiptsOf(body: Members): Receipt[] | null {
  const rows = body["receipts"];
  if (!Array.isArray(rows)) return null;
  const receipts = rows.map((row) => receipt(members(row)));
  return receipts.every((one): one is Receipt => one !== null) ? receipts : null;
}

/** The receipt, or a problem that has its members: there `status` is the answer's, and `event_status` the event's. */
function singleReceipt(body: Members): Receipt[] | null {
  const found = receipt({ ...body, status: body["event_status"] ?? body["status"] });
  return found && [found];
}

function receipt(row: Members): Receipt | null {
  const { event_id, received_at, status, first_status, findings = [], retry_after_ms } = row;
  if (!STATUSES.includes(status as Status) || typeof event_id !== "string" || typeof received_at !== "string") {
    return null;
  }
  if (!Array.isArray(findings) || !findings.every((one) => typeof members(one)["code"] === "string")) return null;
  return {
    eventId: event_id,
    receivedAt: received_at,
    status: status as Status,
    findings: findings as Finding[],
    ...(first_status === undefined ? {} : { firstStatus: first_status as Status }),
    ...(typeof retry_after_ms === "number" ? { retryAfterMs: retry_after_ms } : {}),
  };
}

/** A problem of RFC 9457 in one line; where there is none, the status and the text's start. */
function problem(body: Members, answer: Answer): string {
  if (typeof body["title"] !== "string" || !body["title"]) {
    const text = answer.body.trim().slice(0, QUOTED_CHARACTERS);
    return `HTTP status ${answer.status}` + (text ? `: ${text}` : "");
  }
  let out = body["title"];
  if (body["detail"]) out += `: ${String(body["detail"])}`;
  if (body["pointer"] !== undefined) out += ` (at ${String(body["pointer"])})`;
  for (const part of Array.isArray(body["errors"]) ? body["errors"] : []) {
    const { pointer = "", detail = "" } = members(part);
    out += `; ${String(pointer)}: ${String(detail)}`;
  }
  return out;
}
