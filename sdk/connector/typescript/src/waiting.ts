/** Waiting for changes, for turns, and for the end. */

/** Events and bytes of them. */
export interface Held {
  events: number;
  bytes: number;
}

/** Wakes all that wait for a change; they look again for themselves. */
export class Changed {
  #waiting = new Set<() => void>();

  notify(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  wait(millis: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = millis < Infinity ? setTimeout(wake, millis) : undefined;
      this.#waiting.add(wake);
    });
  }
}

/** Lets one in at a time, in the order of their coming. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Tells everybody who waits that there is nothing to wait for. */
export class Halt {
  isSet = false;
  #waiting = new Set<() => void>();

  set(): void {
    this.isSet = true;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Waits; answers early where it is set. */
  async wait(millis: number): Promise<boolean> {
    if (!this.isSet) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, millis);
        this.#waiting.add(wake);
      });
    }
    return this.isSet;
  }
}
