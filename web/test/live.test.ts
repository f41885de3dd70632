import assert from "node:assert/strict";
import test from "node:test";
import { liveOf, PLOTTED_MINUTES } from "../src/live";
import { pictureOf, uploadOf } from "../src/record";
import { described, failed, writing } from "./records";

const NOON = new Date(2026, 0, 2, 12).getTime();
const MINUTE = 60_000;

test("begun, ended, failed and paid are counted", () => {
  const live = liveOf(
    [
      pictureOf("a", writing("", {}, NOON - 5000)),
      pictureOf("b", described({}, NOON - 10_000)),
      pictureOf("c", failed("blocked", "", {}, NOON - 3 * MINUTE)),
      pictureOf("d", described({}, NOON - 3 * 60 * MINUTE)),
      pictureOf("e", described({}, NOON - 20 * 60 * MINUTE)),
      pictureOf("f", {}),
    ],
    NOON,
    null,
  );
  assert.equal(live.inProgress, 2);
  assert.equal(live.lastMinute, 2);
  assert.equal(live.failedShare, 0.5);
  assert.equal(live.tokensToday, 640);
  assert.equal(live.minutes.length, PLOTTED_MINUTES);
  assert.equal(live.minutes.at(-4), 1);
  assert.equal(live.minutes.reduce((sum, count) => sum + count), 3);
});

test("tokens cost what was said of their model, and of no other", () => {
  const prices = { model: "a-model", input: 0.3, output: 2.5 };
  const usage = { promptTokens: 300, completionTokens: 40, totalTokens: 360 };
  const own = pictureOf("a", described({ usage, model: "a-model" }, NOON - 10_000));
  const other = pictureOf("b", described({ usage, model: "another" }, NOON - 10_000));
  const unpaid = pictureOf("c", failed("unsupported", "", { model: "another" }, NOON - 10_000));
  assert.equal(liveOf([own, unpaid], NOON, prices).costToday, (300 * 0.3 + 60 * 2.5) / 1e6);
  const flex = { ...usage, trafficType: "ON_DEMAND_FLEX" };
  const cheaper = pictureOf("d", described({ usage: flex, model: "a-model" }, NOON - 10_000));
  assert.equal(liveOf([cheaper], NOON, prices).costToday, (300 * 0.3 + 60 * 2.5) / 2e6);
  assert.equal(liveOf([own, other], NOON, prices).costToday, null);
  assert.equal(liveOf([own], NOON, null).costToday, null);
});

test("an upload of which no record comes is not in progress", () => {
  const tile = uploadOf("a", "uploads", "a.jpg", NOON);
  assert.equal(liveOf([tile], NOON, null).inProgress, 1);
  const refused = { ...tile, outcome: "Not uploaded", message: "Too large." };
  assert.equal(liveOf([refused], NOON, null).inProgress, 0);
});

test("without an end there is no share of failures", () => {
  assert.equal(liveOf([], NOON, null).failedShare, null);
});

test("what begins in the future, by another clock, begins now", () => {
  const live = liveOf([pictureOf("a", writing("", {}, NOON + 5 * MINUTE))], NOON, null);
  assert.equal(live.lastMinute, 1);
});
