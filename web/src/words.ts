/** What happened to a picture, in words for people. Source: docs/outcomes.md */

import { cameToNothing, type Picture } from "./record";

export type Tone = "busy" | "good" | "warn" | "bad";

export interface Said {
  readonly label: string;
  readonly tone: Tone;
  /** A sentence more, or "". */
  readonly detail: string;
}

const OUTCOMES: Readonly<Record<string, Said>> = {
  described: { label: "Described", tone: "good", detail: "" },
  truncated: {
    label: "Cut short",
    tone: "warn",
    detail: "The model reached its length limit, so the end is missing.",
  },
  empty: { label: "No text", tone: "bad", detail: "The model ended well but wrote nothing." },
  blocked: {
    label: "Held back",
    tone: "bad",
    detail: "The safety filter refused, so there is no description.",
  },
  unsupported: {
    label: "Not this format",
    tone: "bad",
    detail: "The model does not take images of this format.",
  },
  too_large: { label: "Too large", tone: "bad", detail: "It has more bytes than may be sent." },
  unreadable: {
    label: "Not readable",
    tone: "bad",
    detail: "It is said to be an image, but its bytes are not, or end before the picture does.",
  },
  gone: {
    label: "Gone",
    tone: "bad",
    detail: "It was deleted or overwritten before it was read.",
  },
  rejected: { label: "Refused", tone: "bad", detail: "The model refused the request for good." },
  over_limit: {
    label: "Over the limit",
    tone: "bad",
    detail: "The limit of the day was reached; it can be taken up later.",
  },
  gave_up: {
    label: "Gave up",
    tone: "bad",
    detail: "It was tried as often as allowed, without success.",
  },
};

/** Every outcome that the page has words for. */
export const KNOWN_OUTCOMES: readonly string[] = Object.keys(OUTCOMES);

/** Say an outcome, or how far it has come. */
export function said(picture: Picture): Said {
  switch (picture.phase) {
    case "uploading": {
      const tone = cameToNothing(picture) ? "bad" : "busy";
      return { label: picture.outcome || "Uploading", tone, detail: picture.message };
    }
    case "writing":
      return writing(picture);
    default:
      return ended(picture);
  }
}

/** Give the short name of an outcome, for the filter. */
export function outcomeLabel(outcome: string): string {
  return (Object.hasOwn(OUTCOMES, outcome) ? OUTCOMES[outcome]?.label : undefined) ?? outcome;
}

/**
 * Say who wrote the text, or "" where there is none.
 *
 * @param byHand - what stands for a model where texts written by hand are replayed.
 */
export function provenance(picture: Picture, byHand = ""): string {
  if (picture.text === "") return "";
  if (picture.byPerson) return "Written by a person";
  if (byHand !== "" && picture.model === byHand) return "Written by hand for this sample";
  const model = picture.model === "" ? "a model" : `a model (${picture.model})`;
  if (picture.approvedBy !== "") return `Written by ${model}, approved by a person`;
  return `Written by ${model}, may be wrong`;
}

/** Give the words for someone who does not see the picture. */
export function altOf(picture: Picture): string {
  return picture.altText || picture.text || `${picture.name}, not described`;
}

function writing(picture: Picture): Said {
  if (!picture.held && picture.message !== "") {
    return { label: "Waiting for the next try", tone: "warn", detail: "The last try broke off." };
  }
  if (picture.attempt > 1) {
    return { label: `Being written, try ${picture.attempt}`, tone: "busy", detail: "" };
  }
  return { label: picture.text === "" ? "Being looked at" : "Being written", tone: "busy", detail: "" };
}

function ended(picture: Picture): Said {
  if (picture.byPerson) return { label: "Described", tone: "good", detail: "" };
  const known = Object.hasOwn(OUTCOMES, picture.outcome) ? OUTCOMES[picture.outcome] : undefined;
  if (known !== undefined) return known;
  const tone = picture.phase === "done" ? "good" : "bad";
  return { label: picture.outcome || "Ended", tone, detail: "" };
}

export function bytesInWords(size: number): string {
  if (size < 1000) return `${size} B`;
  if (size < 1_000_000) return `${(size / 1000).toFixed(0)} kB`;
  return `${(size / 1_000_000).toFixed(1)} MB`;
}

export function secondsInWords(milliseconds: number): string {
  return `${(Math.max(0, milliseconds) / 1000).toFixed(1)} s`;
}
