import assert from "node:assert/strict";
import test from "node:test";
import { pictureOf, uploadOf } from "../src/record";
import { announcement, choices, IN_PROGRESS, matches, NO_FILTERS, Wall } from "../src/wall";
import { said } from "../src/words";
import { described, failed, writing } from "./records";

function wallOf(...ids: string[]): Wall {
  const wall = new Wall();
  const changes = ids.map((id, place) => ({ id, data: described({ name: id }, 1000 + place) }));
  wall.apply("page 1", changes, 0, false);
  return wall;
}

function shown(wall: Wall, still = false): string {
  return wall
    .shown(NO_FILTERS, still)
    .map(({ id }) => id)
    .join("");
}

test("the newest stands first", () => {
  assert.equal(shown(wallOf("a", "b", "c")), "cba");
});

test("an upload's end is news even to a listener that only begins", () => {
  const wall = wallOf("b");
  const told = (owner: string, generation: number): number =>
    wall.apply(owner, [{ id: "a", data: described({ generation }) }], 0, false).length;
  wall.upload(uploadOf("a", "uploads", "a", 1), 7);
  assert.equal(told("page 1", 7), 1);
  assert.equal(told("named", 7), 0);
});

test("an upload of which no record comes is not found in progress", () => {
  const tile = uploadOf("a", "uploads", "a.jpg", 1000);
  const filters = { ...NO_FILTERS, outcome: IN_PROGRESS };
  assert.ok(matches(tile, filters));
  assert.ok(!matches({ ...tile, outcome: "Not uploaded", message: "Too large." }, filters));
});

test("an upload keeps its place when its record comes, and newer bytes come first", () => {
  const wall = new Wall();
  const told = (id: string, start: number, generation: number): string => {
    wall.apply("head", [{ id, data: writing("", { generation }, start) }], 0, true);
    return shown(wall);
  };
  for (const [place, id] of ["a", "b", "c"].entries()) {
    wall.upload(uploadOf(id, "uploads", id, 1000 + place), 7);
  }
  assert.equal(told("a", 2000, 7), "cba");
  assert.equal(told("b", 2001, 7), "cba");
  assert.equal(told("d", 3000, 7), "dcba");
  assert.equal(told("a", 4000, 8), "adcb");
});

test("while somebody reads, new ones wait above and older ones join below", () => {
  const wall = wallOf("b", "c");
  assert.equal(shown(wall), "cb");
  wall.apply("head", [{ id: "d", data: writing("", {}, 5000) }], 0, true);
  wall.apply("page 2", [{ id: "a", data: described({}, 10) }], 0, false);
  assert.equal(shown(wall, true), "cba");
  assert.equal(wall.waiting(), 1);
  assert.equal(shown(wall), "dcba");
  assert.equal(wall.waiting(), 0);
});

test("while somebody reads, one that is tried again stays where it is", () => {
  const wall = wallOf("a", "b");
  assert.equal(shown(wall), "ba");
  wall.apply("head", [{ id: "a", data: writing("", {}, 9000) }], 0, true);
  assert.equal(shown(wall, true), "ba");
  assert.equal(wall.get("a")?.phase, "writing");
  assert.equal(shown(wall), "ab");
});

test("what no listener has any more is gone, and what only moves between them is not", () => {
  const wall = wallOf("a", "b");
  wall.apply("page 1", [{ id: "a", data: null }, { id: "b", data: null }], 1000, true);
  assert.equal(wall.sweep(1500), true);
  wall.apply("head", [{ id: "b", data: writing("", {}, 9000) }], 1500, true);
  assert.equal(wall.sweep(2500), false);
  assert.equal(shown(wall), "b");
});

test("a record in two pages goes when both have let it go", () => {
  const wall = wallOf("a");
  wall.apply("page 2", [{ id: "a", data: described() }], 0, false);
  wall.apply("page 1", [{ id: "a", data: null }], 0, true);
  wall.sweep(5000);
  assert.equal(shown(wall), "a");
});

test("after a new beginning only what is told of again stays", () => {
  const wall = wallOf("a", "b");
  wall.release(1000);
  wall.apply("page 2", [{ id: "a", data: described() }], 1100, false);
  wall.sweep(5000);
  assert.equal(shown(wall), "a");
});

test("what a listener lets go without having had it changes nothing", () => {
  const wall = wallOf("a");
  wall.apply("one b", [{ id: "b", data: null }], 0, false);
  assert.equal(shown(wall), "a");
});

test("an upload stands first until its record speaks of the same bytes", () => {
  const wall = wallOf("a", "b");
  wall.upload(uploadOf("a", "uploads", "a", 99_000), null);
  assert.equal(shown(wall), "ab");
  assert.equal(wall.get("a")?.phase, "uploading");
  wall.upload(uploadOf("a", "uploads", "a", 99_000), 7);
  wall.apply("page 1", [{ id: "a", data: described({ generation: 6 }) }], 0, true);
  assert.equal(wall.get("a")?.phase, "uploading");
  wall.apply("head", [{ id: "a", data: writing("", { generation: 7 }) }], 0, true);
  assert.equal(wall.get("a")?.phase, "writing");
  assert.equal(wall.size, 2);
});

test("a record that is quicker than the answer to its upload is not covered", () => {
  const wall = new Wall();
  wall.upload(uploadOf("a", "uploads", "a", 1), null);
  wall.apply("head", [{ id: "a", data: writing("", { generation: 7 }) }], 0, true);
  wall.upload(uploadOf("a", "uploads", "a", 1), 7);
  assert.equal(wall.get("a")?.phase, "writing");
});

test("a person's words are not covered by a newer upload of their picture", () => {
  const wall = new Wall();
  wall.apply("page 1", [{ id: "a", data: described({ generation: 6, source: "person" }) }], 0, false);
  wall.upload(uploadOf("a", "uploads", "a", 1), null);
  assert.equal(wall.get("a")?.phase, "uploading");
  wall.upload(uploadOf("a", "uploads", "a", 1), 7);
  assert.equal(wall.get("a")?.phase, "done");
});

test("an upload that came to nothing can be put away", () => {
  const wall = new Wall();
  wall.upload(uploadOf("a", "uploads", "a", 1), null);
  wall.dismiss("a");
  assert.equal(shown(wall), "");
});

test("an end is told once, and what had ended before is not", () => {
  const wall = new Wall();
  const told = (id: string, data: object, fresh = true): string[] =>
    wall.apply("head", [{ id, data }], 0, fresh).map((picture) => picture.id);
  assert.deepEqual(told("a", described(), false), []);
  assert.deepEqual(told("b", writing("A")), []);
  assert.deepEqual(told("b", described()), ["b"]);
  assert.deepEqual(told("b", described({ altText: "more" })), []);
  assert.deepEqual(told("c", failed("blocked", "")), ["c"]);
  assert.deepEqual(told("b", described({}, 9000)), ["b"]);
});

test("several ends are told together", () => {
  const say = (picture: Parameters<typeof said>[0]): string => said(picture).label;
  const good = pictureOf("a", described());
  const bad = pictureOf("b", failed("blocked", "", { name: "dog.jpg" }));
  assert.equal(announcement([], say), "");
  assert.equal(announcement([bad], say), "dog.jpg: Held back");
  assert.equal(announcement([good, good], say), "2 described");
  assert.equal(announcement([good, bad], say), "1 described, 1 not described");
});

test("each filter keeps what it names", () => {
  const picture = pictureOf(
    "a",
    described({ name: "holiday/cat.jpg", language: "de", tags: ["animal"], altText: "Grüße", descriptions: { fr: "Un chat" } }),
  );
  const grown = pictureOf("b", writing("A cat"));
  const kept = (filters: object, one = picture): boolean =>
    matches(one, { ...NO_FILTERS, ...filters });
  for (const yes of [
    {},
    { words: "  SLEEPS cat " },
    { words: "grüsse".replace("ss", "ß") },
    { words: "holiday animal" },
    { words: "un chat" },
    { prefix: "holiday/" },
    { outcome: "described" },
    { model: "a-model" },
    { language: "de" },
    { tag: "animal" },
  ]) {
    assert.ok(kept(yes), JSON.stringify(yes));
  }
  for (const no of [
    { words: "cat dog" },
    { prefix: "cat" },
    { outcome: "blocked" },
    { outcome: IN_PROGRESS },
    { model: "another" },
    { language: "en" },
    { tag: "plant" },
  ]) {
    assert.ok(!kept(no), JSON.stringify(no));
  }
  assert.ok(kept({ outcome: IN_PROGRESS }, grown));
});

test("a search finds the words that have come since", () => {
  const first = pictureOf("a", writing("A cat"));
  const filters = { ...NO_FILTERS, words: "sleeps" };
  assert.ok(!matches(first, filters));
  assert.ok(matches(pictureOf("a", writing("A cat sleeps"), first), filters));
});

test("filters offer what there is, in order", () => {
  const wall = wallOf("a");
  wall.apply("head", [{ id: "b", data: failed("blocked", "", { tags: ["b", "a"] }) }], 0, true);
  wall.apply("head", [{ id: "c", data: writing("", { language: "de" }) }], 0, true);
  assert.deepEqual(choices(wall), {
    outcomes: ["blocked", "described"],
    models: ["a-model"],
    languages: ["de"],
    tags: ["a", "b"],
  });
});
