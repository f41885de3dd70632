import assert from "node:assert/strict";
import test from "node:test";
import { looksLikePicture } from "../src/upload";

test("pictures are told by type, or by name where there is no type", () => {
  for (const [name, type] of [
    ["a.jpg", "image/jpeg"],
    ["a", "image/png"],
    ["holiday/A.HEIC", ""],
    ["a.b.webp", "application/octet-stream"],
  ] as const) {
    assert.ok(looksLikePicture(name, type), name);
  }
  for (const [name, type] of [
    ["a.txt", "text/plain"],
    ["jpg", ""],
    ["folder/.DS_Store", ""],
    ["folder/._a.jpg", "image/jpeg"],
  ] as const) {
    assert.ok(!looksLikePicture(name, type), name);
  }
});
