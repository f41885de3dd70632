import assert from "node:assert/strict";
import test from "node:test";
import { html, json, markdown } from "../src/copies";
import { pictureOf } from "../src/record";
import { described } from "./records";

const hostile = pictureOf(
  "a",
  described({
    name: 'a b/"><img src=x onerror=alert(1)>).jpg',
    description: '"><script>alert(1)</script>\n\n](javascript:alert(1)) `*_',
  }),
);

test("HTML holds text and name as text", () => {
  assert.equal(
    html(hostile),
    '<img src="a%20b/%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%29.jpg"' +
      ' alt="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt; ](javascript:alert(1)) `*_">',
  );
});

test("Markdown holds them as text, on one line", () => {
  const made = markdown(hostile);
  assert.doesNotMatch(made, /\n/);
  assert.equal(
    made,
    '!["\\>\\<script\\>alert(1)\\</script\\> \\](javascript:alert(1)) \\`\\*\\_]' +
      "(a%20b/%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%29.jpg)",
  );
});

test("an address never leads to another host or scheme", () => {
  for (const [name, address] of [
    ["//evil.example/a.jpg", ".//evil.example/a.jpg"],
    ["javascript:alert(1)", "javascript%3Aalert%281%29"],
    ["\ud800.jpg", "%EF%BF%BD.jpg"],
  ] as const) {
    assert.match(html(pictureOf("a", described({ name }))), new RegExp(`src="${escape(address)}"`));
  }
});

test("JSON is the record", () => {
  const record = JSON.parse(json(hostile)) as { status: object; description: string };
  assert.equal(record.description, hostile.text);
  assert.deepEqual(Object.keys(record.status), [
    "state",
    "outcome",
    "attempt",
    "startTime",
    "firstTextTime",
    "completeTime",
  ]);
});

function escape(text: string): string {
  return text.replace(/[.()/]/g, "\\$&");
}
