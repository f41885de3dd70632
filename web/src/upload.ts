/** Files from this machine into the bucket: dropped, or chosen. */

import { bytesInWords } from "./words";

const AT_ONCE = 4;
const SUFFIXES = /\.(avif|bmp|gif|heic|heif|jpe?g|png|svg|tiff?|webp)$/i;

export interface Wanted {
  /** The object's name: for what lies in a folder, the path from that folder on. */
  readonly name: string;
  readonly file: File;
}

/** Tell by type and name whether somebody would call it a picture; the function decides anew. */
export function looksLikePicture(name: string, type: string): boolean {
  const last = name.slice(name.lastIndexOf("/") + 1);
  // Files such as `._photo.jpg` are what macOS keeps beside the real ones.
  return !last.startsWith(".") && (type.startsWith("image/") || SUFFIXES.test(last));
}

/** Give all files that were dropped, those in folders included. */
export async function dropped(transfer: DataTransfer): Promise<Wanted[]> {
  // The list is empty after the first await: entries are taken before.
  const taken = [...transfer.items].map((item) => [item.webkitGetAsEntry(), item.getAsFile()] as const);
  const found = await Promise.all(
    taken.map(async ([entry, file]) => {
      if (entry !== null) return inside(entry);
      return file === null ? [] : [{ name: file.name, file }];
    }),
  );
  return found.flat();
}

export function chosen(files: FileList): Wanted[] {
  return [...files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
}

/**
 * Upload files, a few at a time; `done` is told of each with its generation, or why not.
 *
 * @param authorize - gives the header by which the server knows who asks.
 */
export async function uploadAll(
  authorize: () => Promise<Record<string, string>>,
  maxBytes: number,
  files: readonly Wanted[],
  done: (wanted: Wanted, generation: number | null, why: string) => void,
): Promise<void> {
  const waiting = [...files];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        done(next, await upload(authorize, maxBytes, next), "");
      } catch (error) {
        done(next, null, error instanceof Error ? error.message : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function upload(
  authorize: () => Promise<Record<string, string>>,
  maxBytes: number,
  { name, file }: Wanted,
): Promise<number> {
  if (file.size === 0) throw new Error("It is empty.");
  // Refused by the server too, but a browser that is cut off while it sends does not hear why.
  if (file.size > maxBytes) throw new Error(`At most ${bytesInWords(maxBytes)} here.`);
  const type = file.type || "application/octet-stream";
  const asked = await fetch("/uploads", {
    method: "POST",
    body: JSON.stringify({ name: name.toWellFormed(), type, size: file.size }),
    headers: await authorize(),
  });
  if (!asked.ok) throw new Error(await sentence(asked));
  const { url, headers } = (await asked.json()) as { url: string; headers: Record<string, string> };
  const put = await fetch(url, { method: "PUT", body: file, headers });
  // Cloud Storage's way to say that the one thing asked for, that there be none yet, is not so.
  if (put.status === 412) throw new Error("There is a picture of this name already.");
  if (!put.ok) throw new Error(await sentence(put));
  return Number(put.headers.get("x-goog-generation") ?? 0);
}

async function sentence(response: Response): Promise<string> {
  const plain = response.headers.get("Content-Type")?.startsWith("text/plain") === true;
  return (plain && (await response.text())) || `status ${response.status}`;
}

async function inside(entry: FileSystemEntry): Promise<Wanted[]> {
  if (isFile(entry)) {
    const file = await new Promise<File>((resolve, reject) => {
      entry.file(resolve, reject);
    });
    return [{ name: entry.fullPath.replace(/^\//, ""), file }];
  }
  if (!isFolder(entry)) return [];
  const reader = entry.createReader();
  const found: Wanted[] = [];
  for (;;) {
    // A hundred at a time, until none come.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (some.length === 0) return found;
    for (const child of some) found.push(...(await inside(child)));
  }
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}
