/** All records that are loaded, in the order in which they are shown. Knows no Firestore, no page. */

import { isFinished, isInProgress, pictureOf, type Picture } from "./record";

/** What one listener tells. */
export interface Change {
  readonly id: string;
  /** The record, or null: it is no longer among what this listener listens to. */
  readonly data: unknown;
}

export interface Filters {
  readonly words: string;
  readonly prefix: string;
  readonly outcome: string;
  readonly model: string;
  readonly language: string;
  readonly tag: string;
}

export const NO_FILTERS: Filters = {
  words: "",
  prefix: "",
  outcome: "",
  model: "",
  language: "",
  tag: "",
};

/** The filter's word for everything that is not finished. */
export const IN_PROGRESS = "in progress";

interface Entry {
  picture: Picture;
  /** Listeners that have it: with none left it is gone. */
  readonly owners: Set<string>;
  /** When the last of them let it go, or null. */
  orphaned: number | null;
  /** When its upload from this page began, by which it is placed until it is begun anew; or null. */
  uploaded: number | null;
}

/** An upload from this page, until its record speaks of the same bytes. */
interface Upload {
  picture: Picture;
  generation: number | null;
}

// A record that is tried again moves from one listener's range to another's: between the two
// messages it belongs to none.
const ORPHAN_MILLISECONDS = 1000;

export class Wall {
  readonly #entries = new Map<string, Entry>();
  readonly #uploads = new Map<string, Upload>();
  #order: readonly string[] = [];
  #stale = false;

  /**
   * Take what a listener told.
   *
   * @returns the pictures that came to their end by it.
   */
  apply(owner: string, changes: readonly Change[], now: number, fresh: boolean): Picture[] {
    const ended: Picture[] = [];
    for (const { id, data } of changes) {
      const entry = this.#entries.get(id);
      if (data === null) {
        entry?.owners.delete(owner);
        if (entry?.owners.size === 0) entry.orphaned = now;
        continue;
      }
      const before = entry?.picture;
      const picture = pictureOf(id, data, before);
      if (entry === undefined) {
        this.#entries.set(id, { picture, owners: new Set([owner]), orphaned: null, uploaded: null });
        this.#stale = true;
      } else {
        entry.owners.add(owner);
        entry.orphaned = null;
        entry.picture = picture;
        if (before?.times.start !== picture.times.start) {
          entry.uploaded = null;
          this.#stale = true;
        }
      }
      // Of an upload from this page the end is news, also to a listener that only begins.
      const news = this.#settle(id) || fresh;
      if (isFinished(picture) && endedNow(before, picture, news)) ended.push(picture);
    }
    return ended;
  }

  /** Let no listener have anything: what none tells of again is gone after a while. */
  release(now: number): void {
    for (const entry of this.#entries.values()) {
      entry.owners.clear();
      entry.orphaned = now;
    }
  }

  /** Drop what belongs to no listener any more; tells whether there is more to drop later. */
  sweep(now: number): boolean {
    let later = false;
    for (const [id, entry] of this.#entries) {
      if (entry.orphaned === null) continue;
      if (now - entry.orphaned < ORPHAN_MILLISECONDS) {
        later = true;
        continue;
      }
      this.#entries.delete(id);
      this.#stale = true;
    }
    return later;
  }

  /** Show an upload from this page, or how it goes on. */
  upload(picture: Picture, generation: number | null): void {
    this.#uploads.set(picture.id, { picture, generation });
    this.#stale = true;
    this.#settle(picture.id);
  }

  /** Forget an upload that came to nothing. */
  dismiss(id: string): void {
    if (this.#uploads.delete(id)) this.#stale = true;
  }

  get(id: string): Picture | undefined {
    return this.#uploads.get(id)?.picture ?? this.#entries.get(id)?.picture;
  }

  get size(): number {
    return new Set([...this.#entries.keys(), ...this.#uploads.keys()]).size;
  }

  /** All pictures, in no order. */
  *pictures(): Iterable<Picture> {
    for (const id of this.#entries.keys()) if (!this.#uploads.has(id)) yield this.#sure(id);
    for (const { picture } of this.#uploads.values()) yield picture;
  }

  /**
   * Give what is shown, newest first.
   *
   * @param still - keep everything where it is: somebody reads. New ones wait above, older ones
   *   join below.
   */
  shown(filters: Filters, still: boolean): Picture[] {
    if (this.#stale && !still) {
      this.#order = this.#newestFirst();
      this.#stale = false;
    } else if (this.#stale) {
      this.#order = this.#joined();
    }
    const all = this.#order.map((id) => this.get(id)).filter((picture) => picture !== undefined);
    return filters === NO_FILTERS ? all : all.filter((picture) => matches(picture, filters));
  }

  /** Count those that wait above while everything is kept where it is. */
  waiting(): number {
    const shown = new Set(this.#order);
    let count = 0;
    for (const picture of this.pictures()) if (!shown.has(picture.id)) count += 1;
    return count;
  }

  #newestFirst(): string[] {
    return this.#sorted([...this.pictures()]);
  }

  #joined(): string[] {
    const here = this.#order.filter((id) => this.get(id) !== undefined);
    const known = new Set(here);
    const last = here.length > 0 ? this.get(here[here.length - 1] ?? "") : undefined;
    const older = [...this.pictures()].filter(
      (picture) => !known.has(picture.id) && (last === undefined || this.#newer(last, picture) < 0),
    );
    return [...here, ...this.#sorted(older)];
  }

  #sorted(pictures: Picture[]): string[] {
    return pictures.sort((one, other) => this.#newer(one, other)).map(({ id }) => id);
  }

  #newer(one: Picture, other: Picture): number {
    const difference = this.#place(other) - this.#place(one);
    return difference !== 0 ? difference : one.id < other.id ? -1 : 1;
  }

  /** Give the moment by which it is placed: what was uploaded here stays where its tile is. */
  #place({ id, times }: Picture): number {
    const uploaded = this.#uploads.has(id) ? null : this.#entries.get(id)?.uploaded;
    return uploaded ?? times.start ?? 0;
  }

  /** Forget an upload of which the record speaks; tells whether there was one. */
  #settle(id: string): boolean {
    const upload = this.#uploads.get(id);
    const entry = this.#entries.get(id);
    if (upload === undefined || entry === undefined || upload.generation === null) return false;
    // A person's words stay whatever is uploaded, and their record with them.
    const record = entry.picture;
    if (record.generation < upload.generation && !record.byPerson) return false;
    if (record.generation === upload.generation) entry.uploaded = upload.picture.times.start;
    return this.#uploads.delete(id);
  }

  #sure(id: string): Picture {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`no record ${id}`);
    return entry.picture;
  }
}

/** Tell whether a picture is one of those asked for. */
export function matches(picture: Picture, filters: Filters): boolean {
  const { words, prefix, outcome, model, language, tag } = filters;
  if (outcome === IN_PROGRESS ? !isInProgress(picture) : outcome && picture.outcome !== outcome) {
    return false;
  }
  if (model !== "" && picture.model !== model) return false;
  if (language !== "" && picture.language !== language) return false;
  if (tag !== "" && !picture.tags.includes(tag)) return false;
  if (prefix !== "" && !picture.name.startsWith(prefix)) return false;
  const wanted = plainWords(words).split(" ").filter(Boolean);
  return wanted.length === 0 || contains(picture, wanted);
}

/** Give the values that a filter can take, in order. */
export function choices(wall: Wall): {
  outcomes: string[];
  models: string[];
  languages: string[];
  tags: string[];
} {
  const outcomes = new Set<string>();
  const models = new Set<string>();
  const languages = new Set<string>();
  const tags = new Set<string>();
  for (const picture of wall.pictures()) {
    if (isFinished(picture) && picture.outcome) outcomes.add(picture.outcome);
    if (picture.model) models.add(picture.model);
    if (picture.language) languages.add(picture.language);
    for (const tag of picture.tags) tags.add(tag);
  }
  const sorted = (values: Set<string>): string[] => [...values].sort();
  return {
    outcomes: sorted(outcomes),
    models: sorted(models),
    languages: sorted(languages),
    tags: sorted(tags),
  };
}

/** Say the pictures that came to their end, for those who listen to the page. */
export function announcement(ended: readonly Picture[], say: (picture: Picture) => string): string {
  const [only] = ended;
  if (only === undefined) return "";
  if (ended.length === 1) return `${only.name}: ${say(only)}`;
  const failed = ended.filter((picture) => picture.phase === "failed").length;
  const described = `${ended.length - failed} described`;
  return failed === 0 ? described : `${described}, ${failed} not described`;
}

function endedNow(before: Picture | undefined, now: Picture, fresh: boolean): boolean {
  if (before === undefined) return fresh;
  return !isFinished(before) || before.times.complete !== now.times.complete;
}

const searched = new WeakMap<Picture, string>();

function contains(picture: Picture, wanted: readonly string[]): boolean {
  let text = searched.get(picture);
  if (text === undefined) {
    const others = picture.others.map(([, other]) => other);
    const { name, altText, textInImage, tags } = picture;
    const all = [name, picture.text, altText, textInImage, ...tags, ...others];
    text = plainWords(all.join("\n"));
    searched.set(picture, text);
  }
  const found = text;
  return wanted.every((word) => found.includes(word));
}

function plainWords(text: string): string {
  return text.normalize("NFKC").toLocaleLowerCase().replace(/\s+/g, " ").trim();
}
