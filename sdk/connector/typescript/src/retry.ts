/**
 * How long to wait before the next attempt: exponential with full jitter (Marc Brooker, "Exponential Backoff And
 * Jitter", AWS Architecture Blog, 2015), and never shorter than the gateway asked for.
 */

/**
 * What was asked for, and the jitter on top, so that clients that were told the same do not come back at the same
 * moment. `share` is random, 0 to 1.
 */
export function backoff(
  firstDelayMs: number,
  maxDelayMs: number,
  attempts: number,
  askedMs: number | null,
  share = Math.random(),
): number {
  const ceiling = Math.min(firstDelayMs * 2 ** Math.min(attempts - 1, 31), maxDelayMs);
  return (askedMs ?? 0) + ceiling * share;
}

/** Milliseconds of `Retry-After`, RFC 9110 section 10.2.3: a number of seconds, or a date. */
export function retryAfter(header: string | undefined, nowMs = Date.now()): number | null {
  const text = (header ?? "").trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  // What `Date.parse` takes is wider than a date of HTTP, which begins with a day's name.
  const date = /^(Mon|Tues?|Wed(nes)?|Thu(rs)?|Fri|Sat(ur)?|Sun)(day)?[, ]/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}
