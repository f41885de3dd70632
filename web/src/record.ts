/**
 * A record as Firestore gives it, read into what the page shows.
 *
 * Records can be edited by hand: whatever is not of the documented shape reads as absent.
 * Source: docs/record.md
 */

export type Phase = "uploading" | "writing" | "done" | "failed";

export interface Usage {
  readonly prompt: number | null;
  readonly completion: number | null;
  readonly total: number | null;
  /** What part of the ordinary price was paid: half in the cheaper lane. */
  readonly share: number;
}

/** Moments in milliseconds since 1970. */
export interface Times {
  readonly start: number | null;
  readonly firstText: number | null;
  readonly update: number | null;
  readonly complete: number | null;
}

/** One tile of the wall. Never changed: what changes is a new one. */
export interface Picture {
  readonly id: string;
  readonly name: string;
  readonly bucket: string;
  readonly generation: number;
  readonly contentType: string;
  readonly size: number | null;
  readonly phase: Phase;
  /** As in the record, or "" while there is none. */
  readonly outcome: string;
  /** The finished text, or the one that grows. */
  readonly text: string;
  /** How much of the text stood there before the last change: the rest is fresh. */
  readonly settled: number;
  readonly altText: string;
  /** A model's suggestion. */
  readonly decorative: boolean;
  readonly textInImage: string;
  /** Texts in other languages, by their tags. */
  readonly others: readonly (readonly [language: string, text: string])[];
  /** What was sent in its place, in words, or "". */
  readonly converted: string;
  /** The object whose words these are, or "". */
  readonly reusedFrom: string;
  readonly tags: readonly string[];
  readonly language: string;
  readonly model: string;
  readonly byPerson: boolean;
  /** The user id of who approved it, or wrote it; "" where nobody did. */
  readonly approvedBy: string;
  /** What the model wrote, where a person wrote something else. */
  readonly modelText: string;
  readonly attempt: number;
  /** Whether somebody holds the lease, that is, works on it. */
  readonly held: boolean;
  /** For whoever runs the function, not for visitors. */
  readonly message: string;
  readonly usage: Usage;
  readonly times: Times;
  /** The record itself, for those who want all of it. */
  readonly fields: Readonly<Record<string, unknown>>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Read a record; `before` is the same one as shown until now. */
export function pictureOf(id: string, data: unknown, before?: Picture): Picture {
  const fields = mapOf(data);
  const status = mapOf(fields["status"]);
  const usage = mapOf(fields["usage"]);
  const phase = phaseOf(textOf(status["state"]));
  const description = textOf(fields["description"]);
  // While the same bytes are described again, the old text stands until the new one begins.
  const text =
    phase === "writing" ? textOf(fields["partialText"]) || description : description;
  const goesOn =
    before !== undefined && before.phase === "writing" && text.startsWith(before.text);
  return {
    id,
    name: textOf(fields["name"]) || id,
    bucket: textOf(fields["bucket"]),
    generation: numberOf(fields["generation"]) ?? 0,
    contentType: textOf(fields["contentType"]),
    size: numberOf(fields["size"]),
    phase,
    outcome: textOf(status["outcome"]),
    text,
    settled: goesOn ? before.text.length : phase === "writing" ? 0 : text.length,
    altText: textOf(fields["altText"]),
    decorative: fields["decorative"] === true,
    textInImage: textOf(fields["textInImage"]),
    others: Object.entries(mapOf(fields["descriptions"])).flatMap(([language, other]) =>
      typeof other === "string" && language !== fields["language"] ? [[language, other]] : [],
    ),
    converted: textOf(fields["converted"]),
    reusedFrom: textOf(fields["reusedFrom"]),
    tags: listOf(fields["tags"]).filter((tag) => typeof tag === "string"),
    language: textOf(fields["language"]),
    model: textOf(fields["model"]),
    byPerson: fields["source"] === "person",
    approvedBy: textOf(mapOf(fields["approved"])["by"]),
    modelText: textOf(mapOf(fields["approved"])["modelDescription"]),
    attempt: numberOf(status["attempt"]) ?? 0,
    held: "expireTime" in mapOf(fields["lease"]),
    message: textOf(status["message"]),
    usage: {
      prompt: numberOf(usage["promptTokens"]),
      completion: numberOf(usage["completionTokens"]),
      total: numberOf(usage["totalTokens"]),
      share: usage["trafficType"] === "ON_DEMAND_FLEX" ? 0.5 : 1,
    },
    times: {
      start: momentOf(status["startTime"]),
      firstText: momentOf(status["firstTextTime"]),
      update: momentOf(status["updateTime"]),
      complete: momentOf(status["completeTime"]),
    },
    fields,
  };
}

/** A tile for a file that is on its way into the bucket. */
export function uploadOf(id: string, bucket: string, name: string, now: number): Picture {
  const fields = { bucket, name, status: {} };
  return { ...pictureOf(id, fields), phase: "uploading", times: { ...NO_TIMES, start: now } };
}

export function isFinished(picture: Picture): boolean {
  return picture.phase === "done" || picture.phase === "failed";
}

/** Tell whether it is an upload of which no record comes. */
export function cameToNothing(picture: Picture): boolean {
  return picture.phase === "uploading" && picture.message !== "";
}

/** Tell whether something is still to come of it. */
export function isInProgress(picture: Picture): boolean {
  return !isFinished(picture) && !cameToNothing(picture);
}

/** The record's id: the SHA-256 of `gs://bucket/name` in hexadecimal. */
export async function recordId(bucket: string, name: string): Promise<string> {
  const bytes = new TextEncoder().encode(`gs://${bucket}/${name}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Make plain JSON of a record's fields, timestamps in ISO 8601. */
export function plain(value: unknown): unknown {
  const moment = momentOf(value);
  if (moment !== null) return new Date(moment).toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

const NO_TIMES: Times = { start: null, firstText: null, update: null, complete: null };

function phaseOf(state: string): Phase {
  if (state === "COMPLETED") return "done";
  return state === "ERRORED" ? "failed" : "writing";
}

function mapOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** Firestore's timestamps are objects that know their milliseconds. */
function momentOf(value: unknown): number | null {
  if (typeof value !== "object" || value === null || !("toMillis" in value)) return null;
  const { toMillis } = value;
  return typeof toMillis === "function" ? numberOf(toMillis.call(value)) : null;
}
