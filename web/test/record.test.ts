import assert from "node:assert/strict";
import test from "node:test";
import { pictureOf, plain, recordId, uploadOf } from "../src/record";
import { at, described, writing } from "./records";

test("a finished record is read whole", () => {
  const picture = pictureOf("a", described({ altText: "A cat", tags: ["cat", 7], language: "de" }));
  assert.equal(picture.phase, "done");
  assert.equal(picture.outcome, "described");
  assert.equal(picture.text, "A cat sleeps.");
  assert.equal(picture.settled, picture.text.length);
  assert.equal(picture.altText, "A cat");
  assert.deepEqual(picture.tags, ["cat"]);
  assert.equal(picture.language, "de");
  assert.deepEqual(picture.usage, { prompt: 300, completion: 20, total: 320, share: 1 });
  assert.deepEqual(picture.times, { start: 1000, firstText: 1700, update: null, complete: 4000 });
});

test("what was asked for beside the description is read, as far as it is of its shape", () => {
  const picture = pictureOf(
    "a",
    described({
      language: "en",
      descriptions: { en: "A cat sleeps.", de: "Eine Katze schläft.", fr: 5 },
      decorative: true,
      textInImage: "EXIT",
      reusedFrom: "gs://uploads/b.jpg",
    }),
  );
  assert.deepEqual(picture.others, [["de", "Eine Katze schläft."]]);
  assert.equal(picture.decorative, true);
  assert.equal(picture.textInImage, "EXIT");
  assert.equal(picture.reusedFrom, "gs://uploads/b.jpg");
  const foreign = { decorative: "yes", textInImage: [], descriptions: "x", reusedFrom: {} };
  const odd = pictureOf("a", described(foreign));
  assert.deepEqual([odd.others, odd.decorative, odd.textInImage, odd.reusedFrom], [[], false, "", ""]);
});

test("an approval is read, and what the model wrote before a person did", () => {
  const approved = { by: "ada", time: at(5), modelDescription: "A dog." };
  const picture = pictureOf("a", described({ source: "person", approved }));
  assert.deepEqual([picture.byPerson, picture.approvedBy, picture.modelText], [true, "ada", "A dog."]);
  const odd = pictureOf("a", described({ approved: { by: 5, modelDescription: [] } }));
  assert.deepEqual([odd.approvedBy, odd.modelText], ["", ""]);
});

test("what a record does not have, or has in a foreign shape, reads as absent", () => {
  for (const data of [
    {},
    null,
    "text",
    [],
    { status: 1, usage: [], tags: "cat", description: { a: 1 }, name: 5, lease: null },
    { status: { startTime: "yesterday", state: {}, attempt: "1" }, size: Number.NaN },
    { status: { startTime: { toMillis: 5 }, completeTime: { toMillis: () => "x" } } },
  ]) {
    const picture = pictureOf("a", data);
    assert.equal(picture.phase, "writing");
    assert.equal(picture.name, "a");
    assert.equal(picture.text, "");
    assert.equal(picture.attempt, 0);
    assert.equal(picture.times.start, null);
    assert.equal(picture.usage.total, null);
  }
});

test("only the words that came since the last change are fresh", () => {
  const first = pictureOf("a", writing("A cat"));
  assert.equal(first.settled, 0);
  const second = pictureOf("a", writing("A cat sleeps"), first);
  assert.equal(second.text.slice(second.settled), " sleeps");
  const done = pictureOf("a", described(), second);
  assert.equal(done.text.slice(done.settled), ".");
});

test("a text that begins anew is fresh from its beginning", () => {
  const first = pictureOf("a", writing("A cat"));
  assert.equal(pictureOf("a", writing("The dog"), first).settled, 0);
});

test("an old text stands until the new one begins", () => {
  const again = { ...writing(""), description: "A cat sleeps." };
  assert.equal(pictureOf("a", again).text, "A cat sleeps.");
  assert.equal(pictureOf("a", { ...again, partialText: "A" }).text, "A");
});

test("the id of a record is the one that the function computes", async () => {
  assert.equal(
    await recordId("uploads", "häuser/1.jpg"),
    "73a7787e6f21fc696934763e3e9a06487d9d284a4f481e0893134fc36367e302",
  );
});

test("an upload has neither outcome nor text", () => {
  const upload = uploadOf("a", "uploads", "cat.jpg", 5);
  assert.equal(upload.phase, "uploading");
  assert.equal(upload.name, "cat.jpg");
  assert.equal(upload.times.start, 5);
  assert.equal(upload.text, "");
});

test("plain JSON has its moments in ISO 8601", () => {
  assert.deepEqual(plain({ a: [at(0), { b: null }], c: "x" }), {
    a: ["1970-01-01T00:00:00.000Z", { b: null }],
    c: "x",
  });
});
