/** One event as it is sent: checked, and with its idempotency key. */

import { randomUUID } from "node:crypto";

const MOST_KEY_BYTES = 255;
const SPACE = /^[ \t\r\n]+|[ \t\r\n]+$/g;

/** It cannot be sent: it is no JSON object, its key is none, or it is too long. */
export class InvalidEvent extends Error {
  override name = "InvalidEvent";
}

/** An event: an object, or JSON text, which goes out as it was written. */
export type AnyEvent = Record<string, unknown> | string | Uint8Array;

export interface Event {
  readonly text: string;
  readonly bytes: number;
  readonly key: string | null;
}

/** Checks an event and gives it a key where it lacks one. */
export function prepare(given: AnyEvent, keyField: string | null): Event {
  const [text, members] = read(given);
  if (keyField === null) return event(text, null);
  if (Object.hasOwn(members, keyField)) return event(text, keyIn(text, members[keyField], keyField));
  const key = randomUUID();
  const rest = text.slice(1);
  const comma = rest.replace(SPACE, "").startsWith("}") ? "" : ",";
  return event(`{${JSON.stringify(keyField)}:"${key}"${comma}${rest}`, key);
}

/** An event that was prepared before. */
export function prepared(text: string, keyField: string | null): Event {
  if (keyField === null) return event(text, null);
  const value = (JSON.parse(text) as Record<string, unknown>)[keyField];
  return event(text, typeof value === "number" ? lexeme(text, keyField) : typeof value === "string" ? value : null);
}

function event(text: string, key: string | null): Event {
  return { text, bytes: Buffer.byteLength(text), key };
}

function read(given: AnyEvent): [string, Record<string, unknown>] {
  let text: string;
  let members: unknown;
  try {
    text = textOf(given);
    members = JSON.parse(text);
  } catch (error) {
    throw new InvalidEvent(`the event is not valid JSON: ${(error as Error).message}`);
  }
  if (typeof members !== "object" || members === null || Array.isArray(members)) {
    throw new InvalidEvent("the event must be a JSON object");
  }
  return [text.replace(SPACE, ""), members as Record<string, unknown>];
}

function textOf(given: AnyEvent): string {
  if (typeof given === "string") return given;
  if (given instanceof Uint8Array) return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(given);
  return JSON.stringify(given) ?? "";
}

function keyIn(text: string, value: unknown, keyField: string): string {
  const key = typeof value === "number" ? lexeme(text, keyField) : value;
  if (typeof key === "string" && key !== "" && Buffer.byteLength(key) <= MOST_KEY_BYTES) return key;
  throw new InvalidEvent(`the member ${keyField} must be a text or number of 1 to ${MOST_KEY_BYTES} bytes`);
}

/** The number of a member as it is written: parsed, it may have lost digits. The text is valid JSON. */
function lexeme(text: string, keyField: string): string {
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
  let depth = 0;
  let name = "";
  let before = "";
  let found = "";
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) {
    const token = match[0];
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    if (depth === 1 && token === ":") name = JSON.parse(before) as string;
    // Of members with the same name the last counts, as it does for the parser.
    if (depth === 1 && before === ":" && name === keyField) found = token;
    before = token;
  }
  return found;
}
