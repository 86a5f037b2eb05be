/** The client: `post` delivers while the caller waits, `send` leaves it to senders in the background. */

import { encoder, nextBatch, type Encoder, type Item } from "./body.js";
import { Delivery, Fatal, GaveUp, withoutReceipt } from "./delivery.js";
import { prepare, type AnyEvent } from "./event.js";
import { checked, type Checked, type Options } from "./options.js";
import type { Outcome } from "./outcome.js";
import { MemoryQueue, SpoolQueue, type Queue } from "./queue.js";
import { Spool } from "./spool.js";
import { tlsOf, type Tls } from "./transport.js";
import { Halt, Turns, type Held } from "./waiting.js";

/** What `Client.close` leaves behind. */
export interface CloseReport {
  /** Events from memory that were given up because of the deadline. */
  undelivered: Outcome[];
  /** Events that stay in the spool, for the next client that opens it. */
  spooled: number;
}

/** Posts events to one gateway. */
export class Client {
  readonly #encode: Encoder;
  readonly #tls: Tls;
  readonly #halt = new Halt();
  readonly #callbacks = new Turns();
  readonly #idle: Delivery[] = [];
  readonly #posting = new Set<Delivery>();
  readonly #deliveries: Delivery[];
  readonly #senders: Promise<void>;
  #lost: Outcome[] | null = null;
  #closed: Promise<CloseReport> | null = null;

  private constructor(
    private readonly options: Checked,
    private readonly queue: Queue,
  ) {
    this.#encode = encoder(options.encoding);
    this.#tls = tlsOf(options);
    this.#deliveries = Array.from({ length: options.connections }, () => {
      return this.#delivery(queue.isDurable, (why) => queue.stop(why));
    });
    this.#senders = Promise.all(this.#deliveries.map((delivery) => this.#work(delivery))).then(() => {});
  }

  /** Rejects with `RangeError` for options that cannot be used, `SpoolError` for such a spool. */
  static async open(options: Options): Promise<Client> {
    const all = checked(options);
    encoder(all.encoding);
    tlsOf(all);
    if (all.spool === undefined) return new Client(all, new MemoryQueue(all));
    return new Client(all, new SpoolQueue(all, await Spool.open(all.spool, all.spoolBytes)));
  }

  /**
   * Delivers events and answers their outcomes, in order; the queue and the spool have no part in it. Requests go
   * over several connections, so events may arrive in another order. Where whole requests fail for good, the rest is not
   * tried. Rejects with `InvalidEvent`, before anything is sent, where an event cannot be sent.
   */
  async post(events: Iterable<AnyEvent>): Promise<Outcome[]> {
    const { keyField, batchEvents, batchBytes } = this.options;
    const items = Array.from(events, (given, number): Item => {
      return { number, event: prepare(given, keyField), attempts: 0 };
    });
    const outcomes = new Map<number, Outcome>();
    const settle = async (rows: [Item, Outcome][]) => {
      for (const [item, outcome] of rows) outcomes.set(item.number, outcome);
    };
    let failed = "";
    let from = 0;
    const work = async () => {
      const delivery = this.#idle.pop() ?? this.#delivery(false);
      this.#posting.add(delivery);
      try {
        while (from < items.length && !failed) {
          const batch = nextBatch(items, from, batchEvents, batchBytes);
          from += batch.length;
          await delivery.deliver(batch, settle);
        }
      } catch (error) {
        failed ||= (error as Error).message || "it failed";
        if (!(error instanceof Fatal || error instanceof GaveUp)) throw error;
      } finally {
        this.#posting.delete(delivery);
        this.#idle.push(delivery);
      }
    };
    const most = Math.min(this.options.connections, Math.ceil(items.length / batchEvents));
    const ended = await Promise.allSettled(Array.from({ length: Math.max(1, most) }, work));
    for (const end of ended) if (end.status === "rejected") throw end.reason;
    return items.map((item) => {
      return outcomes.get(item.number) ?? withoutReceipt(item, "undelivered", `not sent: ${failed}`);
    });
  }

  /**
   * Takes an event and answers its key. With a spool the event is on the disk when this resolves. Where there is no room
   * it waits, or rejects with `Full` after the timeout; await it, or nothing holds the caller back. Rejects with
   * `InvalidEvent`, `Closed`, `Stopped` or `SpoolError` where the event was not taken.
   */
  async send(event: AnyEvent, timeoutMs = Infinity): Promise<string | null> {
    const ready = prepare(event, this.options.keyField);
    await this.queue.put(ready, timeoutMs);
    return ready.key;
  }

  /** Waits until everything that `send` took is settled. False where that is not so in time, or the client has stopped. */
  flush(timeoutMs = Infinity): Promise<boolean> {
    return this.queue.flush(timeoutMs);
  }

  /** Events, and their bytes, that `send` took and that are not settled. */
  get held(): Held {
    return this.queue.held();
  }

  /** Bytes that were cut from the end of the spool when it was opened: what a crash left. */
  get tornBytes(): number {
    return this.queue instanceof SpoolQueue ? this.queue.spool.tornBytes : 0;
  }

  /**
   * Takes nothing more, delivers what is held, and gives up after the timeout (by default the option's). Answers what was
   * not delivered.
   */
  close(timeoutMs = this.options.closeTimeoutMs): Promise<CloseReport> {
    this.#closed ??= this.#close(timeoutMs);
    return this.#closed;
  }

  async #close(timeoutMs: number): Promise<CloseReport> {
    const lost: Outcome[] = (this.#lost = []);
    this.queue.close();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, Math.min(timeoutMs, 2 ** 31 - 1))));
    await Promise.race([this.#senders, late]);
    clearTimeout(timer);
    this.queue.stop("the client is closed");
    this.#halt.set();
    for (const delivery of [...this.#deliveries, ...this.#idle, ...this.#posting]) delivery.transport.abort();
    await this.#senders;
    const spooled = this.queue.isDurable ? this.queue.held().events : 0;
    await this.#lose(await this.queue.release(), "the client was closed before it was sent");
    return { undelivered: lost, spooled };
  }

  #delivery(endless: boolean, onFatal?: (why: string) => void): Delivery {
    return new Delivery(
      this.options,
      this.#encode,
      this.#halt,
      (record) => {
        const { events, bytes } = this.queue.held();
        this.options.onRequest?.({ ...record, heldEvents: events, heldBytes: bytes });
      },
      this.#tls,
      endless,
      onFatal,
    );
  }

  /** One sender. */
  async #work(delivery: Delivery): Promise<void> {
    try {
      for (let items = await this.queue.take(); items; items = await this.queue.take()) {
        try {
          await delivery.deliver(items, (rows) => this.#settle(rows));
        } catch (error) {
          // Its events have been told; the next batch has tries of its own.
          if (!(error instanceof GaveUp)) throw error;
        }
      }
    } catch (error) {
      // Beside refused credentials: a callback or the spool failed, and what comes after would not be accounted for.
      const { message } = error as Error;
      await this.#stop(error instanceof Fatal ? message : `delivering failed: ${message}`);
    }
  }

  async #stop(why: string): Promise<void> {
    this.queue.stop(why);
    this.#halt.set();
    if (this.queue.isDurable) return;
    try {
      await this.#lose(await this.queue.release(), `not sent: ${why}`);
    } catch {
      // The callback that has failed fails again; that the client has stopped says it.
    }
  }

  #lose(items: Item[], why: string): Promise<void> {
    return this.#settle(items.map((item) => [item, withoutReceipt(item, "undelivered", why)]));
  }

  async #settle(rows: [Item, Outcome][]): Promise<void> {
    if (rows.length) await this.queue.settle(rows, (outcome) => this.#tell(outcome));
  }

  #tell(outcome: Outcome): Promise<void> {
    return this.#callbacks.take(async () => {
      if (outcome.status === "undelivered") this.#lost?.push(outcome);
      await this.options.onOutcome?.(outcome);
    });
  }
}
