/**
 * Who is signed in.
 *
 * Firebase's own library for this is larger than what is left of the page's budget; what is needed
 * of it are two calls and three functions that Firestore's client asks for.
 * The refresh token stands in `sessionStorage`, so that a reload does not ask for the password
 * again: it is gone with the tab. Pictures are asked for by the browser itself, which sends the ID
 * token as a cookie that no script reads.
 * Source: https://docs.cloud.google.com/identity-platform/docs/use-rest-api
 */

import type { FirebaseApp } from "@firebase/app";
import { Component, type ComponentContainer, type NameServiceMapping } from "@firebase/component";
import type { Config, SignIn } from "./config";

const KEPT = "refresh token";
// New tokens come before the old ones end: pictures are asked for at any time.
const EARLY_MILLISECONDS = 300_000;
const WORDS: Readonly<Record<string, string>> = {
  INVALID_LOGIN_CREDENTIALS: "Address and password do not go together.",
  INVALID_PASSWORD: "Address and password do not go together.",
  EMAIL_NOT_FOUND: "Address and password do not go together.",
  INVALID_EMAIL: "This is no e-mail address.",
  USER_DISABLED: "This account is disabled.",
  TOO_MANY_ATTEMPTS_TRY_LATER: "Too many tries. Wait a little, then try again.",
};

/** What Firestore's client wants of whoever knows the user; `addAuthTokenListener` calls back. */
interface Internal {
  getUid(): string | null;
  getToken(force?: boolean): Promise<{ accessToken: string } | null>;
  addAuthTokenListener(listener: Listener): void;
  removeAuthTokenListener(listener: Listener): void;
}

type Listener = (token: string | null) => void;

declare module "@firebase/component" {
  interface NameServiceMapping {
    "auth-internal": Internal;
  }
}

/** Sign-in came to nothing; the message is for whoever tried. */
export class SignInError extends Error {}

export class Session {
  readonly #signIn: SignIn;
  readonly #key: string;
  readonly #listeners = new Set<Listener>();
  #refresh: string;
  #token = "";
  #until = 0;
  #uid = "";
  #renewing: Promise<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** As the account has it. */
  email = "";
  /** Whether the server takes them for one of `writers`. */
  writer = false;

  private constructor(signIn: SignIn, key: string, refresh: string) {
    this.#signIn = signIn;
    this.#key = key;
    this.#refresh = refresh;
  }

  get uid(): string {
    return this.#uid;
  }

  /** Go on with the session that this tab had; null where it had none, or it is over. */
  static async resume(signIn: SignIn, { key }: Config): Promise<Session | null> {
    const refresh = sessionStorage.getItem(KEPT);
    if (refresh === null) return null;
    const session = new Session(signIn, key, refresh);
    return (await session.#current(true)) === "" ? null : session;
  }

  /** @throws SignInError - not these, or not now. */
  static async begin(signIn: SignIn, { key }: Config, email: string, password: string): Promise<Session> {
    const url = `${signIn.accounts}/v1/accounts:signInWithPassword?key=${key}`;
    const body = JSON.stringify({ email, password, returnSecureToken: true });
    const response = await post(url, body, "application/json");
    const answer = await mapOf(response);
    if (!response.ok) throw new SignInError(reason(answer));
    const { idToken, refreshToken, expiresIn, localId } = answer as Record<string, string>;
    const session = new Session(signIn, key, refreshToken ?? "");
    await session.#take(idToken ?? "", expiresIn ?? "", localId ?? "");
    return session;
  }

  /** Let the app's Firestore ask as this user. */
  join(app: FirebaseApp): void {
    const internal: NameServiceMapping["auth-internal"] = {
      getUid: () => (this.#refresh === "" ? null : this.#uid),
      getToken: async (force = false) => {
        const accessToken = await this.#current(force);
        return accessToken === "" ? null : { accessToken };
      },
      addAuthTokenListener: (listener) => {
        this.#listeners.add(listener);
        queueMicrotask(() => {
          listener(this.#token);
        });
      },
      removeAuthTokenListener: (listener) => {
        this.#listeners.delete(listener);
      },
    };
    const component = new Component("auth-internal", () => internal, "PRIVATE" as never);
    // Where the library's own sign-in puts itself; its types do not show it.
    const { container } = app as FirebaseApp & { container: ComponentContainer };
    // Eager, or Firestore would begin as nobody and then change its mind.
    container.addComponent(component.setInstantiationMode("EAGER" as never));
  }

  /** A token for the server of the page; "" where the session is over. */
  bearer(): Promise<string> {
    return this.#current(false);
  }

  /** Forget who it was, here and in the browser's cookies. */
  async end(): Promise<void> {
    this.#over();
    await fetch("/session", { method: "DELETE" });
  }

  async #current(force: boolean): Promise<string> {
    if (this.#refresh !== "" && (force || Date.now() > this.#until - EARLY_MILLISECONDS)) {
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = null;
      });
      await this.#renewing;
    }
    return this.#token;
  }

  async #renew(): Promise<void> {
    const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: this.#refresh });
    const url = `${this.#signIn.tokens}/v1/token?key=${this.#key}`;
    const response = await post(url, form.toString(), "application/x-www-form-urlencoded");
    const answer = await mapOf(response);
    if (response.status === 400 || response.status === 401 || response.status === 403) {
      this.#over();
      return;
    }
    if (!response.ok) throw new SignInError(reason(answer));
    const { id_token, refresh_token, expires_in, user_id } = answer as Record<string, string>;
    this.#refresh = refresh_token ?? this.#refresh;
    await this.#take(id_token ?? "", expires_in ?? "", user_id ?? "");
  }

  async #take(token: string, seconds: string, uid: string): Promise<void> {
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch("/session", { method: "POST", headers });
    if (response.status === 401) {
      this.#over();
      throw new SignInError("This account is of another place.");
    }
    if (!response.ok) throw new SignInError("The gallery does not answer.");
    const { writer, email } = (await response.json()) as { writer: boolean; email: string };
    this.writer = writer;
    this.email = email;
    this.#token = token;
    this.#uid = uid;
    this.#until = Date.now() + Number(seconds) * 1000;
    sessionStorage.setItem(KEPT, this.#refresh);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        // Where it fails, whoever needs a token next tries again.
        this.#current(true).catch(() => undefined);
      },
      Math.max(0, Number(seconds) * 1000 - EARLY_MILLISECONDS),
    );
  }

  #over(): void {
    this.#token = this.#refresh = this.email = "";
    clearTimeout(this.#timer);
    sessionStorage.removeItem(KEPT);
    for (const listener of this.#listeners) listener(null);
  }
}

/** Say why, in words, for what Identity Platform gives as a code and sometimes a sentence. */
export function reason(answer: unknown): string {
  const { error } = answer as { error?: { message?: string } };
  const code = error?.message?.split(" ")[0] ?? "";
  return WORDS[code] ?? `You cannot sign in now${code === "" ? "" : ` (${code})`}.`;
}

async function post(url: string, body: string, type: string): Promise<Response> {
  try {
    return await fetch(url, { method: "POST", body, headers: { "Content-Type": type } });
  } catch {
    throw new SignInError("There is no connection.");
  }
}

async function mapOf(response: Response): Promise<object> {
  try {
    return (await response.json()) as object;
  } catch {
    return {};
  }
}
