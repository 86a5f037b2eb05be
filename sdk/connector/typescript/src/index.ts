/**
 * Posts events to a Tidegate gateway: batches, retries, a bounded queue or a spool on disk.
 *
 * `Client.post` sends events and answers their outcomes, in order. `Client.send` takes an event, into
 * memory or into the spool, and senders in the background deliver it; outcomes go to `onOutcome`.
 */

export { Client, type CloseReport } from "./client.js";
export { InvalidEvent, type AnyEvent } from "./event.js";
export { type Encoding, type Endpoint, type Options } from "./options.js";
export {
  type Finding,
  type Outcome,
  type OutcomeStatus,
  type Receipt,
  type RequestRecord,
  type Status,
  isTaken,
} from "./outcome.js";
export { Closed, Full, Stopped } from "./queue.js";
export { SpoolDamaged, SpoolError } from "./spool.js";
export type { Held } from "./waiting.js";
