// What a page has and Node has not, for the README's JavaScript, which stays as it is printed.
// Each text that the element gets is written to standard output as one line of JSON.
import { register } from "node:module";

register("./emulator.mjs", import.meta.url);

const caption = {
  set textContent(text) {
    console.log(JSON.stringify(text));
  },
  set innerHTML(text) {
    throw new Error(`markup: ${text}`);
  },
};
globalThis.document = {
  querySelector: (selector) => (selector === "#caption" ? caption : null),
};

// A listener keeps Node alive; the test closes standard input when it has seen enough.
process.stdin.on("end", () => process.exit()).resume();
