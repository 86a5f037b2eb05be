/**
 * What `Client.send` took and nothing has settled yet: in memory, or in the spool. Both are bounded; where there is no
 * room the sender waits.
 */

import { cost, nextBatch, type Item } from "./body.js";
import { InvalidEvent, prepared, type Event } from "./event.js";
import type { Checked } from "./options.js";
import type { Outcome } from "./outcome.js";
import { Spool, SpoolError } from "./spool.js";
import { Changed, Turns, type Held } from "./waiting.js";

/** There was no room in the time that was given; the event was not taken. */
export class Full extends Error {
  override name = "Full";
}

/** The client was closed; the event was not taken. */
export class Closed extends Error {
  override name = "Closed";
}

/** The client takes and delivers nothing more, and the message says why. */
export class Stopped extends Error {
  override name = "Stopped";
}

export type Tell = (outcome: Outcome) => Promise<void>;

/** What both kinds share: who waits for what, and when a batch is ripe. */
export abstract class Queue {
  /** Are undelivered events kept for the next start? */
  abstract readonly isDurable: boolean;
  protected readonly changed = new Changed();
  #turns = new Turns();
  #closed = false;
  #stopped: string | null = null;
  #hurried = 0;
  /** When a batch need not be full any more; null while nothing waits. */
  #ripeAt: number | null = null;

  constructor(protected readonly options: Checked) {}

  /** Takes an event; waits for room. Rejects with `Full`, `Closed`, `Stopped` or `InvalidEvent`. */
  async put(event: Event, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    await this.#turns.take(async () => {
      while (true) {
        if (this.#stopped !== null) throw new Stopped(this.#stopped);
        if (this.#closed) throw new Closed("the client is closed");
        if (await this.tryPut(event)) return;
        const left = deadline - performance.now();
        if (left <= 0) throw new Full("there is no room for the event");
        await this.changed.wait(left);
      }
    });
    await this.makeDurable();
    this.changed.notify();
  }

  /** The next batch, once it is full or old enough. Null: there will be none. */
  async take(): Promise<Item[] | null> {
    while (this.#stopped === null) {
      const waiting = this.waiting();
      const left = this.#ripens(waiting.events);
      const full = waiting.events >= this.options.batchEvents || waiting.bytes >= this.options.batchBytes;
      if (waiting.events && (full || left <= 0 || this.#closed || this.#hurried)) {
        this.#ripeAt = null;
        return this.pop();
      }
      if (this.#closed && !waiting.events && !this.held().events) return null;
      await this.changed.wait(waiting.events ? left : Infinity);
    }
    return null;
  }

  /** Tells the outcomes, and makes room. */
  abstract settle(rows: [Item, Outcome][], tell: Tell): Promise<void>;

  /** Events and bytes that are not settled. */
  abstract held(): Held;

  /** Waits until nothing is held; batches are not waited for. */
  async flush(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    this.#hurried += 1;
    this.changed.notify();
    while (this.held().events && this.#stopped === null && performance.now() < deadline) {
      await this.changed.wait(deadline - performance.now());
    }
    this.#hurried -= 1;
    return this.#stopped === null && !this.held().events;
  }

  /** No more is taken in; what is held goes out without waiting for company. */
  close(): void {
    this.#closed = true;
    this.changed.notify();
  }

  /** Nothing goes in or out any more. */
  stop(why: string): void {
    this.#stopped ??= why;
    this.changed.notify();
  }

  /** Lets go of everything; answers what is lost with it. */
  abstract release(): Promise<Item[]>;

  protected abstract tryPut(event: Event): Promise<boolean>;

  /** What must be done before `put` returns, while others may put. */
  protected async makeDurable(): Promise<void> {}

  /** Events that can be popped, and what they cost. */
  protected abstract waiting(): Held;

  /** The next batch, of at most the count and bytes of one. */
  protected abstract pop(): Item[];

  /** Milliseconds until what waits is old enough. */
  #ripens(count: number): number {
    if (!count) return 0;
    this.#ripeAt ??= performance.now() + this.options.batchAgeMs;
    return this.#ripeAt - performance.now();
  }
}

/** Held in memory until settled. */
export class MemoryQueue extends Queue {
  readonly isDurable = false;
  #items: Item[] = [];
  /** Where the waiting ones begin; those before are on their way. */
  #from = 0;
  #waitingBytes = 0;
  #held: Held = { events: 0, bytes: 0 };
  #numbers = 0;

  async settle(rows: [Item, Outcome][], tell: Tell): Promise<void> {
    for (const [, outcome] of rows) await tell(outcome);
    for (const [item] of rows) {
      this.#held.events -= 1;
      this.#held.bytes -= cost(item);
    }
    this.changed.notify();
  }

  held(): Held {
    return { ...this.#held };
  }

  async release(): Promise<Item[]> {
    const left = this.#items.slice(this.#from);
    this.#items = [];
    this.#from = this.#waitingBytes = 0;
    return left;
  }

  protected async tryPut(event: Event): Promise<boolean> {
    const { queueEvents, queueBytes } = this.options;
    const item = { number: this.#numbers, event, attempts: 0 };
    if (cost(item) > queueBytes) throw new InvalidEvent(`the event is longer than queueBytes, ${queueBytes}`);
    if (this.#held.events >= queueEvents || this.#held.bytes + cost(item) > queueBytes) return false;
    this.#numbers += 1;
    this.#items.push(item);
    this.#waitingBytes += cost(item);
    this.#held.events += 1;
    this.#held.bytes += cost(item);
    return true;
  }

  protected waiting(): Held {
    return { events: this.#items.length - this.#from, bytes: this.#waitingBytes };
  }

  protected pop(): Item[] {
    const batch = nextBatch(this.#items, this.#from, this.options.batchEvents, this.options.batchBytes);
    this.#from += batch.length;
    for (const item of batch) this.#waitingBytes -= cost(item);
    // Moving the rest for each batch would cost more with each event that waits.
    if (this.#from * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#from);
      this.#from = 0;
    }
    return batch;
  }
}

/** Held on disk until settled, also over a crash. */
export class SpoolQueue extends Queue {
  readonly isDurable = true;

  constructor(
    options: Checked,
    readonly spool: Spool,
  ) {
    super(options);
  }

  async settle(rows: [Item, Outcome][], tell: Tell): Promise<void> {
    const settled = rows.filter(([, outcome]) => outcome.status !== "undelivered");
    for (const [, outcome] of settled) await tell(outcome);
    await this.spool.settle(settled.map(([item]) => item.number));
    this.changed.notify();
  }

  held(): Held {
    return this.spool.held();
  }

  async release(): Promise<Item[]> {
    await this.spool.close();
    return [];
  }

  protected async tryPut(event: Event): Promise<boolean> {
    if (!this.spool.fitsEver(event.bytes)) throw new InvalidEvent("the event is longer than the spool may be");
    return this.spool.append(Buffer.from(event.text));
  }

  protected override async makeDurable(): Promise<void> {
    try {
      await this.spool.sync();
    } catch (error) {
      if (error instanceof SpoolError) this.stop(error.message);
      throw error;
    }
  }

  protected waiting(): Held {
    return this.spool.waiting();
  }

  protected pop(): Item[] {
    const records = this.spool.read(this.options.batchEvents, this.options.batchBytes);
    return records.map(([number, event]) => {
      return { number, event: prepared(event.toString(), this.options.keyField), attempts: 0 };
    });
  }
}
