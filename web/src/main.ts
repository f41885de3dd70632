/** The page: state, what changes it, and at most one drawing for each frame. */

import { render } from "lit-html";
import { type Config, loadConfig, type SignIn } from "./config";
import { liveOf } from "./live";
import { isFinished, type Picture, recordId, uploadOf } from "./record";
import { Session, SignInError } from "./session";
import { type Connection, Store } from "./store";
import { chosen, dropped, looksLikePicture, uploadAll, type Wanted } from "./upload";
import { type Actions, details, entrance, page, type State } from "./view";
import { announcement, choices, type Filters, NO_FILTERS, Wall } from "./wall";
import { said } from "./words";

// Scrolled further than this somebody reads, and nothing may move under their eyes.
const READING_PIXELS = 120;
const ANNOUNCE_MILLISECONDS = 2000;
const NO_RECORD_MILLISECONDS = 30_000;
// What is summed up over all that is loaded need not be so at every frame.
const SUM_MILLISECONDS = 500;
// The bucket is not asked for each letter.
const TYPING_MILLISECONDS = 300;
const ENTRANCE = "sign-in";

class Page implements Actions {
  readonly #config: Config;
  readonly #session: Session | null;
  readonly #wall = new Wall();
  readonly #store: Store;
  readonly #root = element("page");
  readonly #dialog = element("details") as HTMLDialogElement;
  readonly #spoken = element("spoken");
  #connection: Connection = "connecting";
  #more = false;
  #filters: Filters = NO_FILTERS;
  #choices = choices(this.#wall);
  #live = liveOf([], Date.now(), null);
  #notice = "";
  #drawn = false;
  #scrolled = 0;
  #ended: Picture[] = [];
  #open = "";
  #missing = false;
  #stopOne: (() => void) | null = null;
  #typing: ReturnType<typeof setTimeout> | undefined;

  constructor(config: Config, session: Session | null) {
    this.#config = config;
    this.#session = session;
    this.#store = new Store(config, session, {
      changed: (owner, changes, fresh) => {
        const first = this.#wall.size === 0;
        const ended = this.#wall.apply(owner, changes, Date.now(), fresh);
        if (first) this.#sum();
        if (ended.length > 0) this.#announce(ended);
        this.draw();
      },
      connection: (now) => {
        this.#connection = now;
        this.draw();
      },
      again: () => {
        this.#wall.release(Date.now());
      },
      paged: (more) => {
        this.#more = more;
        this.draw();
      },
    });
  }

  start(): void {
    this.#store.start();
    this.#listen();
    this.#follow();
    setInterval(() => {
      this.#sum();
      this.#look();
      this.draw();
    }, SUM_MILLISECONDS);
    this.draw();
  }

  /** Draw before the next frame, once, however much has changed. */
  draw(): void {
    if (this.#drawn) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      this.#draw();
    });
  }

  readonly signIn = (): void => {
    location.assign(`/?${ENTRANCE}`);
  };

  readonly signOut = (): void => {
    // Anew, so that nothing that was read stays in memory.
    const leave = (): void => {
      location.replace("/");
    };
    this.#session?.end().then(leave, leave);
  };

  readonly filter = (change: Partial<Filters>): void => {
    const { prefix } = change;
    if (prefix !== undefined) {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => {
        this.#store.named(prefix);
      }, TYPING_MILLISECONDS);
    }
    const filters = { ...this.#filters, ...change };
    this.#filters = Object.values(filters).every((value) => value === "") ? NO_FILTERS : filters;
    this.draw();
  };

  readonly clear = (): void => {
    this.filter(NO_FILTERS);
    this.#toWall();
  };

  readonly toTop = (): void => {
    scrollTo({ top: 0 });
    this.#toWall();
    this.draw();
  };

  readonly more = (): void => {
    this.#store.more();
  };

  readonly close = (): void => {
    this.#dialog.close();
  };

  readonly choose = (files: FileList): void => {
    void this.#upload(chosen(files));
  };

  readonly dismiss = (id: string): void => {
    this.#wall.dismiss(id);
    this.#toWall();
    this.draw();
  };

  readonly copy = (text: string, button: HTMLElement): void => {
    this.#tell(navigator.clipboard.writeText(text), button, "copied");
  };

  readonly approve = (picture: Picture, button: HTMLElement): void => {
    this.#tell(this.#store.approve(picture), button, "approved");
  };

  readonly correct = (picture: Picture, words: string, button: HTMLElement): void => {
    this.#tell(this.#store.correct(picture, words), button, "saved");
  };

  /** Say beside a button, and to those who listen, how it went. */
  #tell(done: Promise<void>, button: HTMLElement, well: string): void {
    const label = button.textContent.trim();
    button.dataset["said"] = "one moment";
    const say = (words: string): void => {
      button.dataset["said"] = words;
      setTimeout(() => delete button.dataset["said"], ANNOUNCE_MILLISECONDS);
      this.#say(`${label}: ${words}`);
    };
    done.then(
      () => {
        say(well);
      },
      () => {
        say("not allowed");
      },
    );
  }

  /** Go to the wall by keyboard: the button that was pressed is about to go. */
  #toWall(): void {
    element("wall").focus({ preventScroll: true });
  }

  #draw(): void {
    const now = Date.now();
    if (this.#wall.sweep(now)) this.draw();
    const pictures = this.#wall.shown(this.#filters, this.#scrolled > READING_PIXELS);
    const state: State = {
      config: this.#config,
      connection: this.#connection,
      pictures,
      loaded: this.#wall.size,
      waiting: this.#wall.waiting(),
      more: this.#more,
      filters: this.#filters,
      choices: this.#choices,
      live: this.#live,
      notice: this.#notice,
      email: this.#session?.email ?? "",
    };
    render(page(state, this), this.#root);
    if (this.#dialog.open) this.#drawDetails();
  }

  #drawDetails(): void {
    const picture = this.#wall.get(this.#open);
    render(details(picture, this.#missing, this.#config, this), this.#dialog);
  }

  #sum(): void {
    this.#live = liveOf(this.#wall.pictures(), Date.now(), this.#config.prices);
    // Replaced only where they differ, so that an open list stays.
    const now = choices(this.#wall);
    if (JSON.stringify(now) !== JSON.stringify(this.#choices)) this.#choices = now;
  }

  /** Tell the store what is in sight: what stands along the diagonal, and what is open. */
  #look(): void {
    // A single point may lie between two tiles for as long as one reads.
    const inSight = [1, 2, 3, 4, 5, 6, 7].flatMap((eighth) =>
      document.elementsFromPoint((innerWidth * eighth) / 8, (innerHeight * eighth) / 8),
    );
    const tiles = new Set(inSight.map((one) => one.closest("article")));
    const seen = [...tiles].flatMap(
      (tile) => tile?.querySelector("a.picture")?.getAttribute("href")?.slice(1) ?? [],
    );
    if (this.#open !== "") seen.push(this.#open);
    // Of an empty wall, or behind a banner, nothing is known: then all stays as it is.
    if (seen.length === 0) return;
    const growing = [...this.#wall.pictures()].filter((picture) => !isFinished(picture));
    this.#store.look(
      seen,
      growing.map(({ id }) => id),
    );
  }

  #listen(): void {
    addEventListener("hashchange", () => {
      this.#follow();
    });
    addEventListener(
      "scroll",
      () => {
        // Read here, where it is known: asked for while drawing, it would be laid out twice.
        this.#scrolled = scrollY;
        this.draw();
      },
      { passive: true },
    );
    this.#dialog.addEventListener("close", () => {
      if (location.hash === "") return;
      // Back to where one came from; a page that was opened by a permalink has nothing before it.
      if (history.state === "opened here") history.back();
      else history.replaceState(null, "", location.pathname);
      this.#follow();
    });
    // A click beside the dialog closes it.
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    document.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest("a.picture") : null;
      if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState("opened here", "", link.getAttribute("href") ?? "");
      this.#follow();
    });
    addEventListener("popstate", () => {
      this.#follow();
    });
    new IntersectionObserver(
      (seen) => {
        if (seen.some((entry) => entry.isIntersecting) && this.#more) this.#store.more();
      },
      { rootMargin: "1500px" },
    ).observe(element("bottom"));
    if (this.#config.uploads) this.#takeDrops();
  }

  #takeDrops(): void {
    const over = (is: boolean): void => {
      document.documentElement.classList.toggle("dropping", is);
    };
    // Taken at the first touch: the tile under the hand may be gone before the next one. From then on
    // what is shown lies over all tiles, and is what the hand is over until it leaves the window.
    addEventListener("dragenter", (event) => {
      event.preventDefault();
      // A tile that is dragged is a link, not a file.
      if (event.dataTransfer?.types.includes("Files") === true) over(true);
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) over(false);
    });
    addEventListener("dragover", (event) => {
      event.preventDefault();
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      if (event.dataTransfer === null) return;
      void dropped(event.dataTransfer).then(
        (files) => this.#upload(files),
        (error: unknown) => {
          this.#notify(`Not read: ${String(error)}`);
        },
      );
    });
  }

  async #upload(files: readonly Wanted[]): Promise<void> {
    const { uploads, bucket, maxUploadBytes } = this.#config;
    if (!uploads) return;
    const pictures = files.filter(({ name, file }) => looksLikePicture(name, file.type));
    const others = files.length - pictures.length;
    this.#notify(others === 0 ? "" : `${others} of ${files.length} files are no images and stay here.`);
    const tiles = new Map<Wanted, Picture>();
    for (const wanted of pictures) {
      const id = await recordId(bucket, wanted.name);
      const tile = uploadOf(id, bucket, wanted.name, Date.now());
      tiles.set(wanted, tile);
      this.#wall.upload(tile, null);
    }
    if (pictures.length > 0) this.toTop();
    const authorize = async (): Promise<Record<string, string>> =>
      this.#session === null ? {} : { Authorization: `Bearer ${await this.#session.bearer()}` };
    await uploadAll(authorize, maxUploadBytes, pictures, (wanted, generation, why) => {
      const tile = tiles.get(wanted);
      if (tile === undefined) return;
      const { id } = tile;
      const now =
        generation === null
          ? { ...tile, outcome: "Not uploaded", message: why }
          : { ...tile, outcome: "Uploaded", message: "" };
      this.#wall.upload(now, generation);
      if (generation !== null && this.#wall.get(id)?.byPerson === true) {
        this.#notify(`${wanted.name}: its words are a person's, and stay.`);
      }
      this.draw();
      if (generation !== null) this.#expect(id, generation);
    });
  }

  /** Not every upload gets a record: what is no image gets none. */
  #expect(id: string, generation: number): void {
    setTimeout(() => {
      const picture = this.#wall.get(id);
      if (picture?.phase !== "uploading" || picture.outcome !== "Uploaded") return;
      const message = "No record came of it: only images get one.";
      this.#wall.upload({ ...picture, outcome: "No record", message }, generation);
      this.draw();
    }, NO_RECORD_MILLISECONDS);
  }

  /** Show the picture that the address names. */
  #follow(): void {
    const id = location.hash.slice(1);
    if (id === this.#open) return;
    this.#stopOne?.();
    this.#stopOne = null;
    this.#open = id;
    this.#missing = false;
    if (id === "") {
      this.#dialog.close();
      return;
    }
    if (!/^[0-9a-f]{64}$/.test(id)) this.#missing = true;
    else if (this.#wall.get(id) === undefined) {
      this.#stopOne = this.#store.one(id, () => {
        this.#missing = true;
        this.draw();
      });
    }
    this.#drawDetails();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
  }

  #notify(words: string): void {
    this.#notice = words;
    this.draw();
  }

  /** Tell those who listen of what has ended, together rather than one after the other. */
  #announce(ended: readonly Picture[]): void {
    if (this.#ended.length === 0) {
      setTimeout(() => {
        const all = this.#ended.splice(0).filter(isFinished);
        this.#say(announcement(all, (picture) => said(picture).label));
      }, ANNOUNCE_MILLISECONDS);
    }
    this.#ended.push(...ended);
  }

  #say(words: string): void {
    this.#spoken.textContent = words;
  }
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no #${id}`);
  return found;
}

/** Begin with the session there is, or ask for one where it has to be, or is wanted. */
async function open(config: Config): Promise<void> {
  const { signIn } = config;
  if (signIn === null) {
    new Page(config, null).start();
    return;
  }
  let why = "";
  const session = await Session.resume(signIn, config).catch((error: unknown) => {
    why = String(error instanceof SignInError ? error.message : error);
    return null;
  });
  const wanted = signIn.required || location.search === `?${ENTRANCE}` || why !== "";
  if (session === null && wanted) ask(config, signIn, why);
  else enter(config, session);
}

function enter(config: Config, session: Session | null): void {
  const writer = session?.writer === true ? { sub: session.uid, email: session.email } : null;
  const uploads = config.uploads && writer !== null;
  if (location.search !== "") history.replaceState(null, "", location.pathname + location.hash);
  new Page({ ...config, writer, uploads }, session).start();
}

function ask(config: Config, signIn: SignIn, before: string): void {
  const root = element("page");
  const draw = (why: string, busy: boolean): void => {
    render(
      entrance({ why, busy, required: signIn.required }, (email, password) => {
        draw("", true);
        Session.begin(signIn, config, email, password).then(
          (session) => {
            render(null, root);
            enter(config, session);
          },
          (error: unknown) => {
            draw(error instanceof SignInError ? error.message : String(error), false);
          },
        );
      }),
      root,
    );
  };
  draw(before, false);
}

loadConfig().then(
  (config) => open(config),
  (error: unknown) => {
    element("page").textContent = `The page has no settings: ${String(error)}`;
  },
);
