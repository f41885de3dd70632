/** What the page is told by the server that it comes from, in /config.json. */

export interface Config {
  readonly project: string;
  readonly database: string;
  readonly collection: string;
  readonly bucket: string;
  /** Firestore's emulator, or null for the real one. */
  readonly emulator: { readonly host: string; readonly port: number } | null;
  /** Where the pictures are: this, the object's name, and `?generation=`, for a small one `&width=`. */
  readonly pictures: string;
  /** Where files can be put: this and the object's name; null where nobody may. */
  readonly uploads: string | null;
  /** The largest file that is taken. */
  readonly maxUploadBytes: number;
  /** The model's name under which samples get texts written by hand, or "". */
  readonly byHand: string;
  /** Who is signed in and may correct, as the emulator takes it; null: nobody. */
  readonly writer: { readonly sub: string; readonly email: string } | null;
  /** Whether who looks runs the function, and so is told why something failed. */
  readonly operator: boolean;
}

export async function loadConfig(): Promise<Config> {
  const response = await fetch("config.json");
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  return (await response.json()) as Config;
}

/** Give the address of a picture, as wide as asked, or as it is. */
export function pictureUrl(config: Config, name: string, generation: number, width?: number): string {
  const path = config.pictures + encodeURIComponent(name.toWellFormed());
  return `${path}?generation=${generation}${width === undefined ? "" : `&width=${width}`}`;
}
