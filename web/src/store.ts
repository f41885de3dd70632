/**
 * The records, live, out of Firestore.
 *
 * Time is cut at the newest record there is when the page opens. What begins later comes from one
 * listener without a limit; what began before comes in pages of a fixed size, each with a listener
 * of its own, so that a record that is still written stays live wherever it stands:
 *
 *     now ... head ... | anchor, page 1 | page 2 | ...
 *
 * A query with nothing but a limit would lose its oldest to each new one.
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
  startAfter,
  startAt,
  type Unsubscribe,
} from "@firebase/firestore";
import type { Config } from "./config";
import type { Change } from "./wall";

export const PAGE_SIZE = 60;
const AGAIN_MILLISECONDS = 5000;

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

export class Store {
  readonly #database: Firestore;
  readonly #records: Query;
  readonly #collection: string;
  readonly #listener: Listener;
  readonly #listening: Unsubscribe[] = [];
  #last: QueryDocumentSnapshot | null = null;
  #pages = 0;
  #loading = false;
  #begun = false;

  constructor(config: Config, listener: Listener) {
    const app = initializeApp({ projectId: config.project, apiKey: "none" });
    initializeFirestore(app, {}, config.database);
    this.#database = getFirestore(app, config.database);
    const { emulator } = config;
    if (emulator !== null) connectFirestoreEmulator(this.#database, emulator.host, emulator.port);
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
    this.#listening.push(stop);
  }

  /** Load a page of older records, unless one is being loaded. */
  more(): void {
    if (this.#loading || this.#last === null) return;
    this.#page(query(this.#records, startAfter(this.#last), limit(PAGE_SIZE)));
  }

  /** Listen to one record, wherever it stands. */
  one(id: string, missing: () => void): Unsubscribe {
    const owner = `one ${id}`;
    return onSnapshot(
      doc(this.#database, this.#collection, id),
      (found) => {
        if (!found.exists() && !found.metadata.fromCache) missing();
        this.#listener.changed(owner, [{ id, data: found.data() ?? null }], false);
      },
      (error) => {
        this.#failed(error);
      },
    );
  }

  #begin(anchor: QueryDocumentSnapshot | null): void {
    if (this.#begun) this.#listener.again();
    this.#begun = true;
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
    this.#listen("head", records, (found) => {
      this.#listener.connection(found.metadata.fromCache ? "offline" : "live");
    });
  }

  #page(records: Query, then?: () => void): void {
    this.#loading = true;
    let first = true;
    this.#pages += 1;
    this.#listen(`page ${this.#pages}`, records, (found) => {
      if (!first || found.metadata.fromCache) return;
      first = false;
      this.#loading = false;
      this.#last = found.docs.at(-1) ?? this.#last;
      this.#listener.paged(found.size === PAGE_SIZE);
      then?.();
    });
  }

  #listen(owner: string, records: Query, then: (found: QuerySnapshot) => void): void {
    let fresh = false;
    const stop = onSnapshot(
      records,
      { includeMetadataChanges: true },
      (found) => {
        // What other listeners left in the cache is a part only: the wall would jump.
        if (fresh || !found.metadata.fromCache) {
          const changes = fresh ? changesOf(found) : found.docs.map(changeOf);
          if (changes.length > 0) this.#listener.changed(owner, changes, fresh);
          fresh = true;
        }
        then(found);
      },
      (error) => {
        this.#failed(error);
      },
    );
    this.#listening.push(stop);
  }

  /** Firestore goes on by itself after a lost connection; after an error it does not. */
  #failed(error: FirestoreError): void {
    for (const stop of this.#listening.splice(0)) stop();
    this.#last = null;
    this.#loading = false;
    const refused = error.code === "permission-denied" || error.code === "unauthenticated";
    this.#listener.connection(refused ? "refused" : "failed");
    if (!refused) setTimeout(this.start.bind(this), AGAIN_MILLISECONDS);
  }
}

function changesOf(found: QuerySnapshot): Change[] {
  return found
    .docChanges()
    .map(({ type, doc: one }) => (type === "removed" ? { id: one.id, data: null } : changeOf(one)));
}

function changeOf(one: QueryDocumentSnapshot): Change {
  return { id: one.id, data: one.data() };
}
