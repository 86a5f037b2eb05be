/**
 * Events on disk until they are settled, also over a kill -9 and a power cut.
 *
 * The folder holds segments, `0000000001.segment` and so on, the file `position`, and `owner`. A segment is the 8 bytes
 * `TGSPOOL1`, then records: length of the event (4 bytes, little endian), CRC-32 (of zip; 4 bytes, little endian) over
 * these 4 bytes and the event, the event. It is only ever appended to, and is synced before the event counts as taken.
 * `position` is one line, `TGPOSITION1 SEGMENT OFFSET`: everything before it is settled. It is replaced by rename, and a
 * segment is deleted once the position is durably past it.
 *
 * What is settled beyond the first unsettled event is not noted: after a crash it is sent once more under its key, and
 * comes back as a duplicate.
 *
 * Opening cuts a torn tail off the last segment: what is not whole at its end was never synced, or its last record is
 * damaged, which looks the same. Damage anywhere else, before a whole record, is refused. Other languages' connectors read
 * and write the same format; only the lock is their own, so that two of different languages must not be given one folder
 * at the same time.
 */

import * as fs from "node:fs";
import { open, rename, unlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";

import { crc32 } from "./crc32.js";
import { holdFolder } from "./owner.js";
import { Turns, type Held } from "./waiting.js";

const HEADER = Buffer.from("TGSPOOL1");
const MARK = "TGPOSITION1";
const PREFIX_BYTES = 8;
const LARGEST_SEGMENT = 8 << 20;

/** The disk refuses; the event is not known to be kept. */
export class SpoolError extends Error {
  override name = "SpoolError";
}

/** The folder holds something that no crash leaves behind. Nothing was changed in it. */
export class SpoolDamaged extends SpoolError {
  override name = "SpoolDamaged";
}

/** A place in the segments. */
interface Position {
  segment: number;
  offset: number;
}

export class Spool {
  /** Bytes that were cut from the end when it was opened: what a crash left. */
  tornBytes = 0;
  readonly #segmentBytes: number;
  #release: () => void = () => {};
  #broken = "";
  /** Bytes of each segment that is there, oldest first. */
  #sizes = new Map<number, number>();
  #last = 1;
  #file!: FileHandle;
  #reader: { segment: number; file: number } | null = null;
  #position: Position = { segment: 1, offset: HEADER.length };
  #cursor: Position = this.#position;
  #held: Held = { events: 0, bytes: 0 };
  /** Events and bytes (each with a comma) since the start. */
  #written: Held = { events: 0, bytes: 0 };
  #synced: Held = { events: 0, bytes: 0 };
  #read: Held = { events: 0, bytes: 0 };
  #syncing: Promise<void> | null = null;
  /** Read and unsettled, in order. */
  #open: { number: number; end: Position; bytes: number }[] = [];
  #settled = new Set<number>();
  /** Who changes files does so one after the other. */
  #turns = new Turns();

  private constructor(
    private readonly folder: string,
    private readonly mostBytes: number,
  ) {
    this.#segmentBytes = Math.min(LARGEST_SEGMENT, Math.floor(mostBytes / 4));
  }

  /** Rejects with `SpoolDamaged`, or `SpoolError` where another client has the folder. */
  static async open(folder: string, mostBytes: number): Promise<Spool> {
    fs.mkdirSync(folder, { recursive: true });
    const spool = new Spool(folder, mostBytes);
    const release = holdFolder(folder);
    if (!release) throw new SpoolError(`${folder} is in use by another client`);
    spool.#release = release;
    try {
      await spool.#recover();
    } catch (error) {
      release();
      throw error;
    }
    return spool;
  }

  // What can be asked.

  held(): Held {
    return { ...this.#held };
  }

  /** Events that are durable and were not read yet, and what a batch of them has in bytes. */
  waiting(): Held {
    return { events: this.#synced.events - this.#read.events, bytes: this.#synced.bytes - this.#read.bytes };
  }

  fitsEver(bytes: number): boolean {
    return HEADER.length + PREFIX_BYTES + bytes <= this.mostBytes - HEADER.length;
  }

  // What is done.

  /** Writes an event; it is durable after `sync`. False where there is no room. */
  append(event: Buffer): Promise<boolean> {
    return this.#turns.take(async () => {
      this.#check();
      const data = record(event);
      if (!(await this.#makeRoom(data.length))) return false;
      const end = this.#sizes.get(this.#last) ?? 0;
      try {
        let done = 0;
        while (done < data.length) done += fs.writeSync(this.#file.fd, data, done);
      } catch (error) {
        await this.#cutBack(end);
        throw failed("cannot be written", error);
      }
      this.#sizes.set(this.#last, end + data.length);
      this.#held = { events: this.#held.events + 1, bytes: this.#held.bytes + event.length };
      this.#written = { events: this.#written.events + 1, bytes: this.#written.bytes + event.length + 1 };
      return true;
    });
  }

  /** Makes durable what was appended before. One call serves all that wait for it. */
  async sync(): Promise<void> {
    const wanted = this.#written.events;
    while (this.#synced.events < wanted) {
      this.#check();
      this.#syncing ??= this.#syncOnce().finally(() => (this.#syncing = null));
      await this.#syncing;
    }
  }

  /** The next events with their numbers; a longer one comes alone. */
  read(mostEvents: number, mostBytes: number): [number, Buffer][] {
    const out: [number, Buffer][] = [];
    let size = 0;
    while (out.length < mostEvents && this.#read.events < this.#synced.events) {
      const { segment, offset } = this.#cursor;
      // A segment that is gone was read to its end.
      if (offset >= (this.#sizes.get(segment) ?? 0)) {
        this.#cursor = { segment: segment + 1, offset: HEADER.length };
        continue;
      }
      const event = this.#readAt(segment, offset);
      if (out.length && size + event.length + 1 > mostBytes) break;
      size += event.length + 1;
      out.push([this.#read.events, event]);
      this.#cursor = { segment, offset: offset + PREFIX_BYTES + event.length };
      this.#open.push({ number: this.#read.events, end: this.#cursor, bytes: event.length });
      this.#read = { events: this.#read.events + 1, bytes: this.#read.bytes + event.length + 1 };
    }
    return out;
  }

  /** Moves the position past all events before the first that is not settled. */
  settle(numbers: number[]): Promise<void> {
    return this.#turns.take(async () => {
      this.#check();
      for (const number of numbers) this.#settled.add(number);
      let count = 0;
      for (const { number, end, bytes } of this.#open) {
        if (!this.#settled.delete(number)) break;
        this.#position = end;
        this.#held = { events: this.#held.events - 1, bytes: this.#held.bytes - bytes };
        count += 1;
      }
      if (!count) return;
      this.#open.splice(0, count);
      const { segment, offset } = this.#position;
      if (segment < this.#last && offset >= (this.#sizes.get(segment) ?? 0)) {
        this.#position = { segment: segment + 1, offset: HEADER.length };
      }
      await this.#keepPosition();
    });
  }

  /** Lets go of the folder. */
  close(): Promise<void> {
    return this.#turns.take(async () => {
      this.#broken ||= "the spool is closed";
      await this.#file.close();
      if (this.#reader) fs.closeSync(this.#reader.file);
      this.#reader = null;
      this.#release();
    });
  }

  // How room is made.

  async #makeRoom(needed: number): Promise<boolean> {
    const size = this.#sizes.get(this.#last) ?? 0;
    const hasRecords = size > HEADER.length;
    const allSettled = hasRecords && this.#isAt(this.#last, size);
    const rolls = hasRecords && size + needed > this.#segmentBytes;
    const total = [...this.#sizes.values()].reduce((sum, one) => sum + one, needed);
    if (rolls || (allSettled && total > this.mostBytes)) {
      if (total + HEADER.length - (allSettled ? size : 0) > this.mostBytes) return false;
      await this.#roll();
      return true;
    }
    return total <= this.mostBytes;
  }

  /** The next segment begins; the last one is complete and durable. */
  async #roll(): Promise<void> {
    // Before there is a next one: what a power cut tears must be the last.
    const { events, bytes } = this.#written;
    await this.#must(() => this.#file.datasync());
    this.#synced = { events, bytes };
    const next = this.#last + 1;
    let file: FileHandle;
    try {
      file = await this.#create(next);
    } catch (error) {
      await this.#must(() => unlink(this.#path(next)).catch(unlessMissing));
      throw failed("cannot be written", error);
    }
    const old = this.#file;
    this.#file = file;
    await old.close();
    const wasSettled = this.#isAt(this.#last, this.#sizes.get(this.#last) ?? 0);
    this.#last = next;
    this.#sizes.set(next, HEADER.length);
    if (wasSettled) {
      this.#position = { segment: next, offset: HEADER.length };
      await this.#keepPosition();
    }
  }

  async #syncOnce(): Promise<void> {
    const { events, bytes } = this.#written;
    await this.#must(() => this.#file.datasync());
    // A segment that began meanwhile has synced more.
    if (events > this.#synced.events) this.#synced = { events, bytes };
  }

  async #create(number: number): Promise<FileHandle> {
    const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND } = fs.constants;
    const file = await open(this.#path(number), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600);
    await file.write(HEADER);
    await file.sync();
    await this.#syncFolder();
    return file;
  }

  /**
   * Makes the position durable, and deletes the segments before it. On a full disk that is left to the next time: what
   * is settled is then only sent once more after a crash.
   */
  async #keepPosition(): Promise<void> {
    const { segment, offset } = this.#position;
    try {
      const file = await open(join(this.folder, "position.new"), "w", 0o600);
      try {
        await file.write(`${MARK} ${segment} ${offset}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(join(this.folder, "position.new"), join(this.folder, "position"));
      await this.#syncFolder();
    } catch (error) {
      if (["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "")) return;
      throw this.#break(error);
    }
    for (const number of [...this.#sizes.keys()].filter((one) => one < segment)) {
      await this.#must(() => unlink(this.#path(number)));
      this.#sizes.delete(number);
    }
  }

  async #cutBack(end: number): Promise<void> {
    try {
      await this.#file.truncate(end);
    } catch (error) {
      this.#break(error);
    }
  }

  /** What fails here is not tried again: after a failed sync nobody knows what is kept. */
  async #must(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw this.#break(error);
    }
  }

  #break(error: unknown): SpoolError {
    const broken = failed("has failed", error);
    this.#broken ||= broken.message;
    return broken;
  }

  #check(): void {
    if (this.#broken) throw new SpoolError(this.#broken);
  }

  #isAt(segment: number, offset: number): boolean {
    return this.#position.segment === segment && this.#position.offset === offset;
  }

  // How it is read.

  #readAt(segment: number, offset: number): Buffer {
    if (this.#reader?.segment !== segment) {
      if (this.#reader) fs.closeSync(this.#reader.file);
      this.#reader = { segment, file: fs.openSync(this.#path(segment), "r") };
    }
    const { file } = this.#reader as { file: number };
    const prefix = Buffer.alloc(PREFIX_BYTES);
    fs.readSync(file, prefix, 0, PREFIX_BYTES, offset);
    const event = Buffer.alloc(prefix.readUInt32LE(0));
    fs.readSync(file, event, 0, event.length, offset + PREFIX_BYTES);
    if (record(event).readUInt32LE(4) !== prefix.readUInt32LE(4)) {
      throw new SpoolDamaged(`${this.#path(segment)} is damaged at byte ${offset}`);
    }
    return event;
  }

  // How it is opened.

  async #recover(): Promise<void> {
    const names = fs.readdirSync(this.folder).filter((name) => /^\d{10}\.segment$/.test(name));
    const numbers = names.map((name) => Number(name.slice(0, 10))).sort((a, b) => a - b);
    const position = this.#readPosition();
    const kept = numbers.filter((number) => !position || number >= position.segment);
    const first = position?.segment ?? kept[0] ?? 1;
    if ((position && !kept.length) || kept.some((number, at) => number !== first + at)) {
      throw new SpoolDamaged(`a segment is missing in ${this.folder}`);
    }
    this.#position = position ?? { segment: first, offset: HEADER.length };
    this.#cursor = this.#position;
    this.#last = kept.at(-1) ?? first;
    for (const number of kept) this.#scan(number);
    for (const number of numbers) if (!kept.includes(number)) fs.unlinkSync(this.#path(number));
    await this.#openLast();
    this.#written = { events: this.#held.events, bytes: this.#held.bytes + this.#held.events };
    this.#synced = this.#written;
  }

  #readPosition(): Position | null {
    let text: string;
    try {
      text = fs.readFileSync(join(this.folder, "position"), "latin1");
    } catch (error) {
      unlessMissing(error);
      return null;
    }
    const words = new RegExp(`^${MARK} (\\d+) (\\d+)\\n$`).exec(text);
    if (!words) throw new SpoolDamaged(`the position in ${this.folder} cannot be read`);
    return { segment: Number(words[1]), offset: Number(words[2]) };
  }

  /** Counts a segment's events, checks them, and finds where it ends. */
  #scan(number: number): void {
    const path = this.#path(number);
    const isLast = number === this.#last;
    const data = fs.readFileSync(path);
    const start = number === this.#position.segment ? this.#position.offset : HEADER.length;
    if (!data.subarray(0, HEADER.length).equals(HEADER)) {
      const isTorn = HEADER.subarray(0, data.length).equals(data) || data.every((byte) => byte === 0);
      if (!isLast || !isTorn) throw new SpoolDamaged(`${path} has no header of a spool's segment`);
      if (start > HEADER.length) throw new SpoolDamaged(`the position in ${this.folder} is beyond ${path}`);
      this.tornBytes += data.length;
      this.#sizes.set(number, 0);
      return;
    }
    let end = HEADER.length;
    let metStart = end === start;
    for (let bytes = wholeAt(data, end); bytes; bytes = wholeAt(data, end)) {
      if (end >= start) this.#held = { events: this.#held.events + 1, bytes: this.#held.bytes + bytes };
      end += PREFIX_BYTES + bytes;
      metStart ||= end === start;
    }
    const isTorn = isLast && end >= start && !anyWholeFrom(data, end);
    if (end < data.length && !isTorn) {
      throw new SpoolDamaged(`${path} is damaged at byte ${end}`);
    }
    if (!metStart) throw new SpoolDamaged(`the position in ${this.folder} is not where an event begins`);
    this.tornBytes += data.length - end;
    this.#sizes.set(number, end);
  }

  /** Cuts the tail; and what a killed process left in the page cache is not on the disk yet. */
  async #openLast(): Promise<void> {
    const size = this.#sizes.get(this.#last) ?? 0;
    if (size < HEADER.length) {
      this.#file = await this.#create(this.#last);
      this.#sizes.set(this.#last, HEADER.length);
      return;
    }
    this.#file = await open(this.#path(this.#last), fs.constants.O_WRONLY | fs.constants.O_APPEND);
    await this.#file.truncate(size);
    await this.#file.sync();
    await this.#syncFolder();
  }

  #path(number: number): string {
    return join(this.folder, `${String(number).padStart(10, "0")}.segment`);
  }

  async #syncFolder(): Promise<void> {
    const folder = await open(this.folder, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

function record(event: Buffer): Buffer {
  const out = Buffer.alloc(PREFIX_BYTES + event.length);
  out.writeUInt32LE(event.length, 0);
  event.copy(out, PREFIX_BYTES);
  out.writeUInt32LE(crc32(event, crc32(out.subarray(0, 4))), 4);
  return out;
}

/** The length of the event at an offset; 0 where there is no whole one. */
function wholeAt(data: Buffer, offset: number): number {
  if (offset + PREFIX_BYTES > data.length) return 0;
  const bytes = data.readUInt32LE(offset);
  const end = offset + PREFIX_BYTES + bytes;
  if (bytes === 0 || end > data.length) return 0;
  const crc = crc32(data.subarray(offset + PREFIX_BYTES, end), crc32(data.subarray(offset, offset + 4)));
  return crc === data.readUInt32LE(offset + 4) ? bytes : 0;
}

/**
 * Does a whole record begin anywhere from here on? None does within an event: JSON has no byte 0, and lengths below
 * 16 MiB have one.
 */
function anyWholeFrom(data: Buffer, offset: number): boolean {
  for (; offset < data.length; offset += 1) if (wholeAt(data, offset)) return true;
  return false;
}

function failed(what: string, error: unknown): SpoolError {
  return new SpoolError(`the spool ${what}: ${(error as Error).message}`);
}

function unlessMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
