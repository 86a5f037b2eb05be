/**
 * Who has a folder: the file `owner` with a process's id and the time of its start, since Node has no locks on files. What
 * a killed process left is seen by its id and start, and taken over.
 */

import * as fs from "node:fs";
import { join } from "node:path";

let counter = 0;

/** Takes the folder and answers how it is let go; null where another client has it. */
export function holdFolder(folder: string): (() => void) | null {
  const path = join(folder, "owner");
  counter += 1;
  const mine = `${path}.${process.pid}.${counter}`;
  fs.writeFileSync(mine, `${process.pid} ${startOf(process.pid)}\n`);
  try {
    const isHeld = linked(mine, path) || (!isAlive(path) && takenOver(mine, path));
    return isHeld ? () => fs.rmSync(path, { force: true }) : null;
  } finally {
    fs.rmSync(mine);
  }
}

/** Takes over what a dead process left. One at a time: a second could take away what the first has just put there. */
function takenOver(mine: string, path: string): boolean {
  const turn = `${path}.turn`;
  // Who was killed within these lines left a file that a person must take away.
  if (!linked(mine, turn)) return false;
  try {
    if (isAlive(path)) return false;
    fs.rmSync(path, { force: true });
    return linked(mine, path);
  } finally {
    fs.rmSync(turn);
  }
}

/** A link is made whole or not at all. */
function linked(mine: string, path: string): boolean {
  try {
    fs.linkSync(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  }
}

function isAlive(path: string): boolean {
  let words: string[];
  try {
    words = fs.readFileSync(path, "latin1").trim().split(" ");
  } catch {
    return false;
  }
  const pid = Number(words[0]);
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Another user's process may not be signalled, but it lives.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return startOf(pid) === words[1];
}

/** The start of a process in ticks since the system's; 0 where the system does not tell. */
function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
  } catch {
    return "0";
  }
}
