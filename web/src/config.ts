/** What the page is told by the server that it comes from, in /config.json. */

export interface Config {
  readonly project: string;
  readonly database: string;
  readonly collection: string;
  readonly bucket: string;
  /** The web client's API key, which Firestore counts its calls by; the emulator takes any. */
  readonly key: string;
  /** Firestore's emulator, or null for the real one. */
  readonly emulator: { readonly host: string; readonly port: number } | null;
  /** Whether files can be put into the bucket. */
  readonly uploads: boolean;
  /** The largest file that is taken. */
  readonly maxUploadBytes: number;
  /** The model's name under which samples get texts written by hand, or "". */
  readonly byHand: string;
  /** Who corrects, as the emulator takes it; null: whoever signs in and may, or nobody. */
  readonly writer: { readonly sub: string; readonly email: string } | null;
  /** Where one signs in, and whether one has to; null: nobody can. */
  readonly signIn: SignIn | null;
  /** Whether who looks runs the function, and so is told why something failed. */
  readonly operator: boolean;
  /** What tokens cost, or null where nobody said. */
  readonly prices: Prices | null;
}

export interface Prices {
  /** The model whose prices these are. */
  readonly model: string;
  /** Of a million tokens in, and out, in one currency. */
  readonly input: number;
  readonly output: number;
}

export interface SignIn {
  /** Identity Toolkit, which takes address and password. */
  readonly accounts: string;
  /** The service that gives a new ID token for an old one. */
  readonly tokens: string;
  readonly required: boolean;
}

export async function loadConfig(): Promise<Config> {
  const response = await fetch("config.json");
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  return (await response.json()) as Config;
}

/**
 * Give the address of a record's picture, as wide as asked, or as it is.
 *
 * @param generation - so that other bytes have another address; null where the record does not
 *   tell, since a person's words stay under newer ones.
 */
export function pictureUrl(id: string, generation: number | null, width?: number): string {
  const asked = width === undefined ? "" : `width=${width}`;
  return `/pictures/${id}?${generation === null ? "" : `generation=${generation}&`}${asked}`;
}
