/** A record's text in the forms in which it is used elsewhere, each escaped for its place. */

import { plain, type Picture } from "./record";
import { altOf } from "./words";

export const COPIES: readonly { title: string; make: (picture: Picture) => string }[] = [
  { title: "alt text", make: altOf },
  { title: "Markdown", make: markdown },
  { title: "HTML", make: html },
  { title: "JSON", make: json },
];

export function markdown(picture: Picture): string {
  const alt = oneLine(altOf(picture)).replace(/[\\[\]`*_<>&!]/g, "\\$&");
  return `![${alt}](${address(picture)})`;
}

export function html(picture: Picture): string {
  return `<img src="${escaped(address(picture))}" alt="${escaped(oneLine(altOf(picture)))}">`;
}

export function json(picture: Picture): string {
  return JSON.stringify(plain(picture.fields), null, 2);
}

/** The object's name as a relative address: what leads to it is the reader's to say. */
function address(picture: Picture): string {
  const path = picture.name.split("/").map(segment).join("/");
  return path.startsWith("/") ? `.${path}` : path;
}

function segment(text: string): string {
  // The parentheses would end a Markdown address; a half surrogate pair has no bytes.
  return encodeURIComponent(text.toWellFormed())
    .replaceAll("(", "%28")
    .replaceAll(")", "%29")
    .replaceAll("'", "%27");
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
