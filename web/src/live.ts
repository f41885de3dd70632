/** What goes on, in numbers: of the records that are loaded, and no others. */

import { isFinished, type Picture } from "./record";

const MINUTE = 60_000;
export const PLOTTED_MINUTES = 60;

export interface Live {
  readonly inProgress: number;
  readonly lastMinute: number;
  /** Of those that ended in the last hour, from 0 to 1; null where none did. */
  readonly failedShare: number | null;
  readonly tokensToday: number;
  /** Begun in each of the last minutes, the oldest first. */
  readonly minutes: readonly number[];
}

export function liveOf(pictures: Iterable<Picture>, now: number): Live {
  const minutes = new Array<number>(PLOTTED_MINUTES).fill(0);
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  let inProgress = 0;
  let ended = 0;
  let failed = 0;
  let tokensToday = 0;
  for (const picture of pictures) {
    const { start, complete } = picture.times;
    if (!isFinished(picture)) inProgress += 1;
    if (complete !== null && complete > now - PLOTTED_MINUTES * MINUTE) {
      ended += 1;
      if (picture.phase === "failed") failed += 1;
    }
    if (complete !== null && complete >= midnight) tokensToday += picture.usage.total ?? 0;
    if (start === null) continue;
    // Clocks differ: what begins in the future begins now.
    const ago = Math.max(0, Math.floor((now - start) / MINUTE));
    const place = PLOTTED_MINUTES - 1 - ago;
    if (place >= 0) minutes[place] = (minutes[place] ?? 0) + 1;
  }
  return {
    inProgress,
    lastMinute: minutes[PLOTTED_MINUTES - 1] ?? 0,
    failedShare: ended === 0 ? null : failed / ended,
    tokensToday,
    minutes,
  };
}
