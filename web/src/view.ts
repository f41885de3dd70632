/** What the page looks like for a state. All text of strangers goes in as text, never as markup. */

import { html, nothing, svg, type TemplateResult } from "lit-html";
import { guard } from "lit-html/directives/guard.js";
import { keyed } from "lit-html/directives/keyed.js";
import { repeat } from "lit-html/directives/repeat.js";
import { pictureUrl, type Config } from "./config";
import { COPIES } from "./copies";
import { type Live, PLOTTED_MINUTES } from "./live";
import { cameToNothing, isFinished, type Picture } from "./record";
import type { Connection } from "./store";
import { type Filters, IN_PROGRESS, NO_FILTERS } from "./wall";
import { altOf, bytesInWords, outcomeLabel, provenance, said, secondsInWords } from "./words";

const THUMBNAIL_WIDTH = 640;

export interface State {
  readonly config: Config;
  readonly connection: Connection;
  readonly pictures: readonly Picture[];
  readonly loaded: number;
  readonly waiting: number;
  readonly more: boolean;
  readonly filters: Filters;
  readonly choices: {
    readonly outcomes: readonly string[];
    readonly models: readonly string[];
    readonly languages: readonly string[];
    readonly tags: readonly string[];
  };
  readonly live: Live;
  readonly notice: string;
  /** Whose session it is; "" where nobody has signed in. */
  readonly email: string;
}

export interface Actions {
  readonly signIn: () => void;
  readonly signOut: () => void;
  readonly filter: (change: Partial<Filters>) => void;
  readonly clear: () => void;
  readonly toTop: () => void;
  readonly more: () => void;
  readonly choose: (files: FileList) => void;
  readonly dismiss: (id: string) => void;
  readonly copy: (text: string, button: HTMLElement) => void;
  readonly approve: (picture: Picture, button: HTMLElement) => void;
  readonly correct: (picture: Picture, words: string, button: HTMLElement) => void;
  readonly close: () => void;
}

export function page(state: State, act: Actions): TemplateResult {
  return html`
    <header class="top">
      <h1>Gallery</h1>
      ${panel(state.live, state.config.prices !== null)}
      <div class="ends">${state.config.uploads ? choosers(act) : nothing} ${account(state, act)}</div>
    </header>
    ${guard([state.filters, state.choices], () => tools(state, act))}
    <main id="wall" tabindex="-1">
      ${banner(state.connection, state.loaded)}
      ${state.notice === "" ? nothing : html`<p class="notice">${state.notice}</p>`}
      ${state.waiting > 0
        ? html`<button class="newer" @click=${act.toTop}>
            ${state.waiting === 1 ? "1 newer picture" : `${state.waiting} newer pictures`}
          </button>`
        : nothing}
      <ul class="wall" aria-label="Pictures, newest first">
        ${repeat(
          state.pictures,
          (picture) => picture.id,
          (picture) => html`<li>${guard([picture], () => tile(picture, state.config, act))}</li>`,
        )}
      </ul>
      ${state.pictures.length === 0 ? nobody(state, act) : nothing}
      <p class="end">
        ${state.more
          ? html`<button @click=${act.more}>Show older ones</button>`
          : state.pictures.length > 0 && state.connection === "live"
            ? "That is all."
            : nothing}
      </p>
    </main>
  `;
}

/** The inside of the dialog. */
export function details(
  picture: Picture | undefined,
  missing: boolean,
  config: Config,
  act: Actions,
): TemplateResult {
  return html`
    <button class="close" @click=${act.close} aria-label="Close">✕</button>
    ${picture === undefined
      ? html`<h2 id="details-title">${missing ? "No such picture" : "Looking for it"}</h2>
          <p>
            ${missing
              ? "There is no record under this address. It may have been deleted."
              : "One moment."}
          </p>`
      : found(picture, config, act)}
  `;
}

function found(picture: Picture, config: Config, act: Actions): TemplateResult {
  const words = said(picture);
  return html`
    <div class="large">${image(picture)}</div>
    <div class="reading">
      <h2 id="details-title" dir="auto">${picture.name}</h2>
      ${state(picture)}
      ${words.detail === "" ? nothing : html`<p>${words.detail}</p>`}
      ${config.operator && picture.message !== ""
        ? html`<p class="reason" dir="auto">${picture.message}</p>`
        : nothing}
      ${text(picture)}
      ${picture.others.map(([language, other]) => part(languageName(language), other, language))}
      ${part("Alt text", picture.altText, picture.language)}
      ${picture.decorative
        ? html`<p class="origin">The model takes it for decoration: alt text may be empty.</p>`
        : nothing}
      ${part("Text in the picture", picture.textInImage)}
      ${picture.text === ""
        ? nothing
        : html`<p class="origin">${provenance(picture, config.byHand)}</p>`}
      ${picture.modelText === ""
        ? nothing
        : html`<details>
            <summary>What the model wrote</summary>
            <p class="text" dir="auto">${picture.modelText}</p>
          </details>`}
      ${config.writer !== null && isFinished(picture) ? correction(picture, act) : nothing}
      <p class="copies">
        ${COPIES.map(
          ({ title, make }) => html`<button
            @click=${(event: Event) => {
              act.copy(make(picture), event.currentTarget as HTMLElement);
            }}
          >
            Copy ${title}
          </button>`,
        )}
      </p>
      ${timeBar(picture)} ${facts(picture)}
    </div>
  `;
}

/** A form for words of one's own, and a button for the words there are. */
function correction(picture: Picture, act: Actions): TemplateResult {
  return html`${keyed(
    picture.id,
    html`<details>
      <summary>${picture.text === "" ? "Describe it yourself" : "Correct it"}</summary>
      <form
        @submit=${(event: SubmitEvent) => {
          event.preventDefault();
          const form = event.currentTarget as HTMLFormElement;
          const words = form.querySelector("textarea")?.value.trim() ?? "";
          const button = form.querySelector("button");
          if (words !== "" && button !== null) act.correct(picture, words, button);
        }}
      >
        <label>Words in place of these
          <textarea rows="6" required maxlength="65536" .defaultValue=${picture.text}></textarea>
        </label>
        <button>Save</button>
      </form>
    </details>
    ${picture.text !== "" && picture.approvedBy === ""
      ? html`<p><button
            @click=${(event: Event) => {
              act.approve(picture, event.currentTarget as HTMLElement);
            }}
          >
            Approve
          </button></p>`
      : nothing}`,
  )}`;
}

function part(title: string, words: string, language = ""): TemplateResult | typeof nothing {
  if (words === "") return nothing;
  return html`<h3>${title}</h3>
    <p class="text" dir="auto" lang=${language || nothing}>${words}</p>`;
}

function tile(picture: Picture, config: Config, act: Actions): TemplateResult {
  const words = said(picture);
  return html`<article class="tile ${words.tone}">
    <a class="picture" href="#${picture.id}">${image(picture, THUMBNAIL_WIDTH)}</a>
    <div class="words">
      <h2 dir="auto" title=${picture.name}>${picture.name}</h2>
      ${state(picture)}
      ${words.detail !== "" && picture.text === ""
        ? html`<p class="detail" dir="auto">${words.detail}</p>`
        : text(picture)}
      <p class="origin">
        ${provenance(picture, config.byHand)}
        ${cameToNothing(picture)
          ? html`<button
              @click=${() => {
                act.dismiss(picture.id);
              }}
            >
              Put away
            </button>`
          : nothing}
      </p>
    </div>
  </article>`;
}

function image(picture: Picture, width?: number): TemplateResult {
  if (picture.phase === "uploading") {
    return html`<span class="visually-hidden">${picture.name}</span>`;
  }
  const address = pictureUrl(picture.id, picture.byPerson ? null : picture.generation, width);
  // A new one for new bytes: an old one that could not be shown must not leave its mark.
  return html`${keyed(
    address,
    html`<img
        src=${address}
        alt=${altOf(picture)}
        loading=${width === undefined ? "eager" : "lazy"}
        decoding="async"
        @error=${broken}
      /><span class="blank" aria-hidden="true">No preview of ${picture.contentType || "this"}</span>`,
  )}`;
}

function broken(event: Event): void {
  (event.currentTarget as HTMLElement).classList.add("broken");
}

function state(picture: Picture): TemplateResult {
  const { label, tone } = said(picture);
  const { start } = picture.times;
  return html`<p class="state">
    <span class="badge ${tone}">${label}</span>
    ${start === null
      ? nothing
      : html`<time datetime=${new Date(start).toISOString()}>${clock(start)}</time>`}
  </p>`;
}

function text(picture: Picture): TemplateResult {
  const growing = picture.phase === "writing";
  // New words fade in: an element of their own, made anew each time.
  return html`<p
    class="text"
    dir="auto"
    lang=${picture.language || nothing}
    aria-busy=${growing ? "true" : "false"}
  >${picture.text.slice(0, picture.settled)}${keyed(
    picture.settled,
    growing && picture.settled < picture.text.length
      ? html`<span class="fresh">${picture.text.slice(picture.settled)}</span>`
      : picture.text.slice(picture.settled),
  )}</p>`;
}

function facts(picture: Picture): TemplateResult {
  const { usage, times } = picture;
  const rows: [string, string | number | null][] = [
    ["Model", picture.byPerson ? null : picture.model],
    ["Language", picture.language],
    ["Tags", picture.tags.join(", ")],
    ["Tokens", tokens(usage)],
    ["Sent as", picture.converted],
    ["Words of", picture.reusedFrom],
    ["Try", picture.attempt === 0 ? null : picture.attempt],
    ["Type", picture.contentType],
    ["Size", picture.size === null ? null : bytesInWords(picture.size)],
    ["Bucket", picture.bucket],
    ["Generation", picture.generation === 0 ? null : picture.generation],
    ["Begun", times.start === null ? null : moment(times.start)],
  ];
  return html`<dl>
    ${rows.map(([name, value]) =>
      value === null || value === ""
        ? nothing
        : html`<div><dt>${name}</dt><dd dir="auto">${value}</dd></div>`,
    )}
  </dl>`;
}

function tokens({ prompt, completion, total }: Picture["usage"]): string {
  if (total === null) return "";
  const parts = prompt === null || completion === null ? "" : ` (${prompt} in, ${completion} out)`;
  return `${total.toLocaleString()}${parts}`;
}

/** Time to the first text and to the end, as one bar. */
function timeBar({ times: { start, firstText, complete } }: Picture): TemplateResult | typeof nothing {
  if (start === null || complete === null || complete <= start) return nothing;
  const whole = complete - start;
  const first = firstText === null ? whole : Math.min(whole, Math.max(0, firstText - start));
  const words =
    firstText === null
      ? `Ended after ${secondsInWords(whole)}, without text`
      : `First text after ${secondsInWords(first)}, done after ${secondsInWords(whole)}`;
  return html`<figure class="times">
    <svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="before" width="100" height="4" />
      <rect class="after" x=${(first / whole) * 100} width=${100 - (first / whole) * 100} height="4" />
    </svg>
    <figcaption>${words}</figcaption>
  </figure>`;
}

function panel(live: Live, priced: boolean): TemplateResult {
  const most = Math.max(1, ...live.minutes);
  return html`<dl class="live" aria-label="Of the pictures loaded">
      <div><dt>in progress</dt><dd>${live.inProgress}</dd></div>
      <div><dt>in the last minute</dt><dd>${live.lastMinute}</dd></div>
      <div>
        <dt>failed, last hour</dt>
        <dd>${live.failedShare === null ? "–" : `${Math.round(live.failedShare * 100)} %`}</dd>
      </div>
      <div><dt>tokens today</dt><dd>${live.tokensToday.toLocaleString()}</dd></div>
      ${live.costToday === null || !priced
        ? nothing
        : html`<div><dt>spent on them</dt><dd>${costFormat.format(live.costToday)}</dd></div>`}
    </dl>
    <svg
      class="plot"
      viewBox="0 0 ${PLOTTED_MINUTES} 20"
      preserveAspectRatio="none"
      role="img"
      aria-label="Begun in each minute of the last hour, at most ${most}"
    >
      ${live.minutes.map((count, minute) =>
        count === 0
          ? nothing
          : svg`<rect x=${minute + 0.1} y=${20 - (count / most) * 20} width="0.8" height=${(count / most) * 20} />`,
      )}
    </svg>`;
}

function account({ config, email }: State, act: Actions): TemplateResult | typeof nothing {
  if (config.signIn === null) return nothing;
  return html`<div class="account">
    ${email === ""
      ? html`<button @click=${act.signIn}>Sign in</button>`
      : html`<span dir="auto">${email}</span><button @click=${act.signOut}>Sign out</button>`}
  </div>`;
}

/** What stands in place of the wall for whoever has to sign in, or wants to. */
export function entrance(
  { why, busy, required }: { why: string; busy: boolean; required: boolean },
  enter: (email: string, password: string) => void,
): TemplateResult {
  return html`<main class="entrance">
    <h1>Gallery</h1>
    <form
      @submit=${(event: SubmitEvent) => {
        event.preventDefault();
        const fields = (event.currentTarget as HTMLFormElement).querySelectorAll("input");
        const [email = "", password = ""] = [...fields].map(({ value }) => value);
        enter(email, password);
      }}
    >
      <label>E-mail address
        <input type="email" autocomplete="username" required ?disabled=${busy}
      /></label>
      <label>Password
        <input
          type="password"
          autocomplete="current-password"
          required
          ?disabled=${busy}
      /></label>
      <p class="why" role="alert">${why}</p>
      <button ?disabled=${busy}>${busy ? "One moment" : "Sign in"}</button>
    </form>
    <p>
      ${required
        ? "Who may see these pictures has an account here. Whoever runs the gallery makes it."
        : html`<a href="/">Back to the pictures</a>`}
    </p>
  </main>`;
}

function choosers(act: Actions): TemplateResult {
  const taken = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement;
    if (input.files !== null) act.choose(input.files);
    input.value = "";
  };
  return html`<div class="choosers">
    <label class="button"
      ><input id="files" type="file" multiple accept="image/*,.heic,.heif" @change=${taken} />Add
      images</label
    >
    <label class="button"
      ><input id="folder" type="file" webkitdirectory @change=${taken} />Add a folder</label
    >
  </div>`;
}

function tools({ filters, choices }: State, act: Actions): TemplateResult {
  return html`<search class="tools">
    <label class="wide"
      >Search
      <input
        id="words"
        type="search"
        placeholder="in what is loaded"
        .value=${filters.words}
        @input=${(event: Event) => {
          act.filter({ words: (event.currentTarget as HTMLInputElement).value });
        }}
    /></label>
    <label
      >Name begins with
      <input
        id="prefix"
        type="text"
        placeholder="holiday/"
        .value=${filters.prefix}
        @input=${(event: Event) => {
          act.filter({ prefix: (event.currentTarget as HTMLInputElement).value });
        }}
    /></label>
    ${select("Outcome", filters.outcome, [IN_PROGRESS, ...choices.outcomes], outcomeLabel, (outcome) => {
      act.filter({ outcome });
    })}
    ${select("Model", filters.model, choices.models, same, (model) => {
      act.filter({ model });
    })}
    ${select("Language", filters.language, choices.languages, languageName, (language) => {
      act.filter({ language });
    })}
    ${choices.tags.length === 0
      ? nothing
      : select("Tag", filters.tag, choices.tags, same, (tag) => {
          act.filter({ tag });
        })}
  </search>`;
}

function select(
  title: string,
  chosen: string,
  values: readonly string[],
  label: (value: string) => string,
  then: (value: string) => void,
): TemplateResult {
  // What was chosen stays a choice, even if its last picture is gone.
  const all = chosen === "" || values.includes(chosen) ? values : [...values, chosen];
  return html`<label
    >${title}
    <select
      @change=${(event: Event) => {
        then((event.currentTarget as HTMLSelectElement).value);
      }}
    >
      <option value="" ?selected=${chosen === ""}>any</option>
      ${all.map(
        (value) => html`<option value=${value} ?selected=${value === chosen}>${label(value)}</option>`,
      )}
    </select></label
  >`;
}

function banner(connection: Connection, loaded: number): TemplateResult | typeof nothing {
  if (connection === "offline" && loaded > 0) {
    return html`<p class="banner">
      No connection. What you see is the last that came; it goes on by itself.
    </p>`;
  }
  if (connection === "failed" && loaded > 0) {
    return html`<p class="banner">The listener broke off. It is tried again every few seconds.</p>`;
  }
  if (connection === "refused" && loaded > 0) {
    return html`<p class="banner">You may not read these records any more.</p>`;
  }
  return nothing;
}

/** What stands where there is no picture to show. */
function nobody(state: State, act: Actions): TemplateResult {
  if (state.loaded > 0 && state.filters !== NO_FILTERS) {
    return empty(
      "Nothing like that",
      `None of the ${state.loaded} pictures that are loaded is so.`,
      html`<button @click=${act.clear}>Show all</button>`,
    );
  }
  switch (state.connection) {
    case "connecting":
      return html`<p class="visually-hidden">Loading</p>
        <ul class="wall" aria-hidden="true">
          ${Array.from({ length: 6 }, () => html`<li><div class="tile skeleton"></div></li>`)}
        </ul>`;
    case "offline":
      return empty("No connection", "The page waits, and goes on by itself.");
    case "refused":
      return empty(
        "Not for you to read",
        "The security rules do not let you read these records. Who may is said by `readers` where" +
          " this was deployed.",
        state.config.signIn !== null && state.email === ""
          ? html`<button @click=${act.signIn}>Sign in</button>`
          : nothing,
      );
    case "failed":
      return empty("It does not answer", "It is tried again every few seconds.");
    default:
      return empty(
        "Nothing here yet",
        !state.config.uploads
          ? "Whatever is uploaded into the bucket appears here."
          : "Drop images or a folder anywhere on this page. Each is described before your eyes.",
      );
  }
}

function empty(title: string, sentence: string, more: TemplateResult | typeof nothing = nothing): TemplateResult {
  return html`<div class="empty"><h2>${title}</h2><p>${sentence}</p>${more}</div>`;
}

// In whatever currency the prices are.
const costFormat = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 2 });
const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function clock(at: number): string {
  return new Date(at).toDateString() === new Date().toDateString()
    ? clockFormat.format(at)
    : dayFormat.format(at);
}

function moment(at: number): string {
  return dayFormat.format(at);
}

function same(value: string): string {
  return value;
}

function languageName(code: string): string {
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
