/**
 * The records, live, out of Firestore.
 *
 * Time is cut at the newest record there is when the page opens. What begins later comes from one
 * listener without a limit; what began before comes in pages of a fixed size, each with a listener
 * of its own, so that a record that is still written stays live wherever it stands:
 *
 *     now ... head ... | anchor, page 1 | page 2 | ...
 *
 * A query with nothing but a limit would lose its oldest to each new one. Each record that is
 * listened to costs a little with every change of any other, so a page sleeps while it is out of
 * sight and all of it is finished.
 * Source: https://firebase.google.com/docs/firestore/query-data/query-cursors
 */

import { initializeApp } from "@firebase/app";
import {
  collection,
  connectFirestoreEmulator,
  doc,
  endBefore,
  type Firestore,
  type FirestoreError,
  getFirestore,
  initializeFirestore,
  limit,
  onSnapshot,
  orderBy,
  query,
  type Query,
  type QueryDocumentSnapshot,
  type QuerySnapshot,
  serverTimestamp,
  startAfter,
  startAt,
  type Unsubscribe,
  updateDoc,
  where,
} from "@firebase/firestore";
import type { Config } from "./config";
import type { Picture } from "./record";
import type { Session } from "./session";
import type { Change } from "./wall";

export const PAGE_SIZE = 60;
const AGAIN_MILLISECONDS = 5000;
// Behind every name, in Firestore's order.
const LAST = "\u{10ffff}";

export type Connection = "connecting" | "live" | "offline" | "refused" | "failed";

export interface Listener {
  /** @param fresh - whether these are changes, rather than what was there when listening began. */
  changed(owner: string, changes: Change[], fresh: boolean): void;
  connection(now: Connection): void;
  /** Listening begins again after an error: what is not told of anew is gone. */
  again(): void;
  /** @param more - whether there are older records that are not loaded. */
  paged(more: boolean): void;
}

interface Stretch {
  readonly name: string;
  readonly records: Query;
  readonly ids: Set<string>;
  /** Null while it sleeps. */
  stop: Unsubscribe | null;
}

export class Store {
  readonly #database: Firestore;
  readonly #records: Query;
  readonly #collection: string;
  readonly #writer: string;
  readonly #listener: Listener;
  #stopOthers: Unsubscribe[] = [];
  #pages: Stretch[] = [];
  #numbered = 0;
  #prefix = "";
  #stopNamed: () => void = () => undefined;
  #last: QueryDocumentSnapshot | null = null;
  #loading = false;
  #begun = false;

  constructor(config: Config, session: Session | null, listener: Listener) {
    const app = initializeApp({ projectId: config.project, apiKey: config.key });
    session?.join(app);
    initializeFirestore(app, {}, config.database);
    this.#database = getFirestore(app, config.database);
    const { emulator } = config;
    this.#writer = config.writer?.sub ?? "";
    if (emulator !== null) {
      const token = config.writer === null ? {} : { ...config.writer, email_verified: true };
      const mocked = config.writer !== null && session === null;
      const options = mocked ? { mockUserToken: { ...token, sub: this.#writer } } : {};
      connectFirestoreEmulator(this.#database, emulator.host, emulator.port, options);
    }
    this.#collection = config.collection;
    this.#listener = listener;
    this.#records = query(
      collection(this.#database, config.collection),
      orderBy("status.startTime", "desc"),
    );
  }

  start(): void {
    this.#listener.connection("connecting");
    const stop = onSnapshot(
      query(this.#records, limit(1)),
      { includeMetadataChanges: true },
      (found) => {
        // Without a connection the answer is empty and from the cache: nothing is known yet.
        if (found.metadata.fromCache) {
          if (found.empty) this.#listener.connection("offline");
          return;
        }
        stop();
        this.#begin(found.docs[0] ?? null);
      },
      (error) => {
        this.#failed(error);
      },
    );
    this.#stopOthers.push(stop);
  }

  /** Load a page of older records, unless one is being loaded. */
  more(): void {
    if (this.#loading || this.#last === null) return;
    this.#page(query(this.#records, startAfter(this.#last), limit(PAGE_SIZE)));
  }

  /**
   * Let pages sleep, or wake them.
   *
   * @param seen - records in sight; their pages and those beside them are awake.
   * @param growing - records that are not finished; their pages are awake.
   */
  look(seen: readonly string[], growing: readonly string[]): void {
    const has = ({ ids }: Stretch): boolean => seen.some((id) => ids.has(id));
    const near = this.#pages.map(has);
    this.#pages.forEach((page, place) => {
      const awake =
        near[place - 1] === true ||
        near[place] === true ||
        near[place + 1] === true ||
        place === this.#pages.length - 1 ||
        growing.some((id) => page.ids.has(id));
      if (!awake) {
        page.stop?.();
        page.stop = null;
      } else if (page.stop === null) {
        this.#wake(page);
      }
    });
  }

  /** Listen to one record, wherever it stands. */
  one(id: string, missing: () => void): Unsubscribe {
    const owner = `one ${id}`;
    return onSnapshot(
      doc(this.#database, this.#collection, id),
      { includeMetadataChanges: true },
      (found) => {
        if (found.metadata.hasPendingWrites) return;
        if (!found.exists() && !found.metadata.fromCache) missing();
        this.#listener.changed(owner, [{ id, data: found.data() ?? null }], false);
      },
      (error) => {
        this.#failed(error);
      },
    );
  }

  /** Listen to the first records, by name, whose names begin so, wherever they stand; "" to none. */
  named(prefix: string): void {
    this.#stopNamed();
    this.#prefix = prefix;
    if (prefix === "") return;
    const ids = new Set<string>();
    const stop = this.#listen(
      "named",
      query(
        collection(this.#database, this.#collection),
        where("name", ">=", prefix),
        where("name", "<", prefix + LAST),
        orderBy("name"),
        limit(PAGE_SIZE),
      ),
      ids,
      () => undefined,
    );
    this.#stopNamed = () => {
      stop();
      const gone = [...ids].map((id) => ({ id, data: null }));
      this.#listener.changed("named", gone, false);
      this.#stopNamed = () => undefined;
    };
  }

  /** Approve the words there are. The rules say whether this user may. */
  approve(picture: Picture): Promise<void> {
    return this.#sign(picture.id, picture.byPerson ? picture.modelText : "", {});
  }

  /** Put a person's words in place of the model's, which stay beside them. */
  correct(picture: Picture, description: string): Promise<void> {
    const words = picture.byPerson ? picture.modelText : picture.text;
    return this.#sign(picture.id, words, { description, source: "person" });
  }

  #sign(id: string, modelDescription: string, fields: object): Promise<void> {
    const words = modelDescription === "" ? {} : { modelDescription };
    const approved = { by: this.#writer, time: serverTimestamp(), ...words };
    return updateDoc(doc(this.#database, this.#collection, id), { ...fields, approved });
  }

  #begin(anchor: QueryDocumentSnapshot | null): void {
    if (this.#begun) this.#listener.again();
    this.#begun = true;
    this.named(this.#prefix);
    if (anchor === null) {
      this.#head(this.#records);
      this.#listener.paged(false);
      return;
    }
    // The first page before the head: "live" must not be said over an empty wall.
    this.#page(query(this.#records, startAt(anchor), limit(PAGE_SIZE)), () => {
      this.#head(query(this.#records, endBefore(anchor)));
    });
  }

  #head(records: Query): void {
    const stop = this.#listen("head", records, new Set(), (found) => {
      this.#listener.connection(found.metadata.fromCache ? "offline" : "live");
    });
    this.#stopOthers.push(stop);
  }

  #page(records: Query, then?: () => void): void {
    this.#loading = true;
    this.#numbered += 1;
    const page = { name: `page ${this.#numbered}`, records, ids: new Set<string>(), stop: null };
    this.#pages.push(page);
    let first = true;
    this.#wake(page, (found) => {
      if (!first || found.metadata.fromCache) return;
      first = false;
      this.#loading = false;
      this.#last = found.docs.at(-1) ?? this.#last;
      this.#listener.paged(found.size === PAGE_SIZE);
      then?.();
    });
  }

  #wake(page: Stretch, then: (found: QuerySnapshot) => void = () => undefined): void {
    page.stop = this.#listen(page.name, page.records, page.ids, then);
  }

  /** @param ids - kept as those that this listener has, also from before it slept. */
  #listen(
    owner: string,
    records: Query,
    ids: Set<string>,
    then: (found: QuerySnapshot) => void,
  ): Unsubscribe {
    let fresh = false;
    return onSnapshot(
      records,
      { includeMetadataChanges: true },
      (found) => {
        // What other listeners left in the cache is a part only: the wall would jump.
        if (fresh || !found.metadata.fromCache) {
          const changes = fresh ? changesOf(found) : allOf(found, ids);
          for (const { id, data } of changes) {
            if (data === null) ids.delete(id);
            else ids.add(id);
          }
          if (changes.length > 0) this.#listener.changed(owner, changes, fresh);
          fresh = true;
        }
        then(found);
      },
      (error) => {
        this.#failed(error);
      },
    );
  }

  /** Firestore goes on by itself after a lost connection; after an error it does not. */
  #failed(error: FirestoreError): void {
    for (const stop of this.#stopOthers) stop();
    for (const page of this.#pages) page.stop?.();
    this.#stopNamed();
    this.#stopOthers = [];
    this.#pages = [];
    this.#last = null;
    this.#loading = false;
    const refused = error.code === "permission-denied" || error.code === "unauthenticated";
    this.#listener.connection(refused ? "refused" : "failed");
    if (!refused) setTimeout(this.start.bind(this), AGAIN_MILLISECONDS);
  }
}

function changesOf(found: QuerySnapshot): Change[] {
  // What is written here is told at once, and again when it is stored: only then it is so.
  return found
    .docChanges({ includeMetadataChanges: true })
    .filter(({ type, doc: one }) => type === "removed" || !one.metadata.hasPendingWrites)
    .map(({ type, doc: one }) => (type === "removed" ? { id: one.id, data: null } : changeOf(one)));
}

/** Everything there is, and that there is no more what had been. */
function allOf(found: QuerySnapshot, before: ReadonlySet<string>): Change[] {
  const here = new Set(found.docs.map(({ id }) => id));
  const gone = [...before].filter((id) => !here.has(id)).map((id) => ({ id, data: null }));
  return [...gone, ...found.docs.map(changeOf)];
}

function changeOf(one: QueryDocumentSnapshot): Change {
  return { id: one.id, data: one.data() };
}
