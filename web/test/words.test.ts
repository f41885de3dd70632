import assert from "node:assert/strict";
import test from "node:test";
import { pictureOf, uploadOf } from "../src/record";
import { altOf, bytesInWords, KNOWN_OUTCOMES, outcomeLabel, provenance, said } from "../src/words";
import { described, failed, writing } from "./records";

test("each failure is said in words, and never in the operator's", () => {
  for (const outcome of KNOWN_OUTCOMES) {
    if (outcome === "described" || outcome === "truncated") continue;
    const words = said(pictureOf("a", failed(outcome, "quota of project 123")));
    assert.equal(words.tone, "bad", outcome);
    assert.notEqual(words.detail, "", outcome);
    assert.doesNotMatch(`${words.label} ${words.detail}`, /_|quota/);
  }
});

test("a picture that was cut off is not said to be none", () => {
  assert.match(said(pictureOf("a", failed("unreadable", ""))).detail, /end before the picture/);
});

test("an outcome that is not known is shown as it is", () => {
  assert.equal(said(pictureOf("a", failed("exploded", ""))).label, "exploded");
  assert.equal(said(pictureOf("a", failed("toString", ""))).label, "toString");
  assert.equal(outcomeLabel("constructor"), "constructor");
  assert.equal(said(pictureOf("a", failed("", ""))).label, "Ended");
});

test("a text that was cut is said to be", () => {
  const status = { state: "COMPLETED", outcome: "truncated" };
  assert.equal(said(pictureOf("a", described({ status }))).tone, "warn");
});

test("the way to the end is said", () => {
  assert.equal(said(uploadOf("a", "b", "c", 0)).label, "Uploading");
  assert.equal(said(pictureOf("a", writing(""))).label, "Being looked at");
  assert.equal(said(pictureOf("a", writing("A"))).label, "Being written");
  const second = { state: "PROCESSING", attempt: 2, message: "cut" };
  assert.equal(said(pictureOf("a", writing("A", { status: second }))).label, "Being written, try 2");
  const waits = pictureOf("a", writing("", { status: second, lease: undefined }));
  assert.equal(said(waits).label, "Waiting for the next try");
});

test("who wrote it is said with the text, and not without", () => {
  assert.equal(provenance(pictureOf("a", described())), "Written by a model (a-model), may be wrong");
  assert.equal(
    provenance(pictureOf("a", described({ model: 5 }))),
    "Written by a model, may be wrong",
  );
  assert.equal(provenance(pictureOf("a", described({ source: "person" }))), "Written by a person");
  assert.equal(provenance(pictureOf("a", failed("blocked", ""))), "");
  const approved = pictureOf("a", described({ approved: { by: "ada", time: 5 } }));
  assert.equal(provenance(approved), "Written by a model (a-model), approved by a person");
  const replayed = pictureOf("a", described());
  assert.equal(provenance(replayed, "a-model"), "Written by hand for this sample");
  assert.match(provenance(pictureOf("a", described({ model: "" })), ""), /by a model, may/);
});

test("the words for who does not see: alt text, else the description, else the name", () => {
  assert.equal(altOf(pictureOf("a", described({ altText: "A cat" }))), "A cat");
  assert.equal(altOf(pictureOf("a", described())), "A cat sleeps.");
  assert.equal(altOf(pictureOf("a", failed("blocked", ""))), "cat.jpg, not described");
});

test("sizes", () => {
  assert.deepEqual([999, 5300, 2_340_000].map(bytesInWords), ["999 B", "5 kB", "2.3 MB"]);
});
