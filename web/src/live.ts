/** What goes on, in numbers: of the records that are loaded, and no others. */

import type { Prices } from "./config";
import { isInProgress, type Picture } from "./record";

const MINUTE = 60_000;
export const PLOTTED_MINUTES = 60;

export interface Live {
  readonly inProgress: number;
  readonly lastMinute: number;
  /** Of those that ended in the last hour, from 0 to 1; null where none did. */
  readonly failedShare: number | null;
  readonly tokensToday: number;
  /** What those tokens cost; null where the price of any of them is not known. */
  readonly costToday: number | null;
  /** Begun in each of the last minutes, the oldest first. */
  readonly minutes: readonly number[];
}

export function liveOf(pictures: Iterable<Picture>, now: number, prices: Prices | null): Live {
  const minutes = new Array<number>(PLOTTED_MINUTES).fill(0);
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  let inProgress = 0;
  let ended = 0;
  let failed = 0;
  let tokensToday = 0;
  let costToday: number | null = 0;
  for (const picture of pictures) {
    const { start, complete } = picture.times;
    if (isInProgress(picture)) inProgress += 1;
    if (complete !== null && complete > now - PLOTTED_MINUTES * MINUTE) {
      ended += 1;
      if (picture.phase === "failed") failed += 1;
    }
    if (complete !== null && complete >= midnight) {
      tokensToday += picture.usage.total ?? 0;
      const cost = costOf(picture, prices);
      costToday = costToday === null || cost === null ? null : costToday + cost;
    }
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
    costToday,
    minutes,
  };
}

/** Whatever is no prompt is charged as output, thinking included. */
function costOf({ model, usage }: Picture, prices: Prices | null): number | null {
  const { prompt, total, share } = usage;
  if (total === null) return 0;
  if (prices === null || prices.model !== model || prompt === null) return null;
  return (share * (prompt * prices.input + (total - prompt) * prices.output)) / 1e6;
}
