/** What becomes of events, and what a request came to. */

/** What a receipt may say. `retry` never reaches an outcome: such events are sent again. */
export const STATUSES = ["accepted", "quarantined", "duplicate", "rejected", "conflict", "retry"] as const;
export type Status = (typeof STATUSES)[number];

/** What one rule says of one event. */
export interface Finding {
  rule: string;
  code: string;
  severity: string;
  pointer?: string;
  detail?: string;
}

/** The gateway's answer for one event. */
export interface Receipt {
  eventId: string;
  receivedAt: string;
  status: Status;
  /** Of a duplicate: what became of the first. */
  firstStatus?: Status;
  findings: Finding[];
  retryAfterMs?: number;
}

/**
 * What the receipt says; `refused`: no request that holds the event is taken; or `undelivered`: it may be stored or
 * not, and sending it again under its key is safe.
 */
export type OutcomeStatus = Exclude<Status, "retry"> | "refused" | "undelivered";

/** One event's end. */
export interface Outcome {
  status: OutcomeStatus;
  /** As it was sent. */
  event: string;
  /** Its idempotency key. */
  key: string | null;
  /** Requests that carried it. */
  attempts: number;
  receipt?: Receipt;
  /** Of what has no receipt: what went wrong. */
  why: string;
}

/** Is the event stored? */
export function isTaken(outcome: Outcome): boolean {
  return outcome.status === "accepted" || outcome.status === "quarantined" || outcome.status === "duplicate";
}

/** One request, for metrics. */
export interface RequestRecord {
  events: number;
  /** 1 for the first request of these events; more: they are sent again. */
  attempt: number;
  /** 0 where there was no whole answer. */
  httpStatus: number;
  eventBytes: number;
  /** As sent, compressed or not. */
  bodyBytes: number;
  millis: number;
  /** Receipts by status. */
  receipts: Partial<Record<Status, number>>;
  /** Events that `Client.send` took and that are not settled, in memory or in the spool. */
  heldEvents: number;
  heldBytes: number;
}
