/**
 * How much processor time the machine's host kept for others.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

/** @returns {{ stolen: number, all: number } | undefined} since the machine started, in any unit; none where the system does not tell (proc(5)) */
function processorTime() {
  try {
    const [, user, nice, system, idle, iowait, irq, softirq, steal] = readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).map(Number);
    return { stolen: steal, all: user + nice + system + idle + iowait + irq + softirq + steal };
  } catch {
    return undefined;
  }
}

/**
 * Begins to watch.
 * @returns {() => number} the share of processor time, 0 to 1, that was withheld since then
 */
export function watchStolenTime() {
  const before = processorTime();
  return () => {
    const now = processorTime();
    if (!before || !now || now.all === before.all) return 0;
    return (now.stolen - before.stolen) / (now.all - before.all);
  };
}
