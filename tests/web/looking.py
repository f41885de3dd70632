"""A visitor of the gallery, and records for them to see."""

import datetime as dt
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.cloud import firestore

from describer.records.record import record_id
from local.http import call
from local.servers.bucket import BUCKET
from local.servers.emulators import PROJECT
from local.servers.stack import COLLECTION

# Told by the page itself, since a refusal is no error of its scripts.
_WATCH = """
window.refused = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.refused.push(`${event.violatedDirective} ${event.blockedURI}`);
});
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    for (const { node } of entry.sources) {
      window.shifts.push(node?.outerHTML ?? `${node?.parentElement?.className}: ${node?.nodeName}`);
    }
  }
}).observe({ type: 'layout-shift', buffered: true });
window.watchFrames = () => {
  let last = performance.now();
  window.frames_ = [];
  const next = (now) => {
    window.frames_.push(now - last);
    last = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
};
"""
_OWN = "127.0.0.1:"
# Where a channel of Firestore's breaks off, its SDK asks whether there is a network at all; the
# page's policy lets nothing out.
_ASKED_BY_THE_SDK = "https://www.google.com/images/cleardot.gif"
_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Visit:
    """One page in a browser, watched.

    Attributes:
        page: Playwright's page.
        errors: what its scripts threw or complained of.
        hosts: where anything was asked for.
        stopped: the foreign addresses among them that the page's policy let nothing out to.
    """

    def __init__(self, page: Any, axe: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.stopped: list[str] = []
        self.may_complain = False
        self._axe = axe
        page.add_init_script(_WATCH)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("requestfailed", self._failed)
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        page.set_default_timeout(20_000)

    def open(self, address: str) -> None:
        """Go to an address."""
        self.page.goto(address)

    def tile(self, name: str) -> Any:
        """Give the tile of an object, also one that is not drawn, being out of sight."""
        heading = self.page.locator("h2", has_text=re.compile(rf"^\s*{re.escape(name)}\s*$"))
        return self.page.locator("article", has=heading)

    def sees(self, place: Any, words: str) -> None:
        """Wait until these words are in that place."""
        # Not until they are drawn: what is out of sight is not.
        place.get_by_text(words).first.wait_for(state="attached")

    def names(self) -> list[str]:
        """Give the names on the wall in their order."""
        found: list[str] = self.page.locator("article h2").all_text_contents()
        return found

    def barriers(self) -> list[str]:
        """Let axe look at the page as it is now."""
        self.page.evaluate(self._axe)
        found: list[str] = self.page.evaluate(
            """async (tags) => {
              const { violations } = await axe.run(document, { runOnly: tags });
              return violations.flatMap(({ id, nodes }) =>
                nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
            }""",
            _AXE_RULES,
        )
        return found

    def check(self) -> None:
        """See that all was as it should be for the whole visit."""
        stopped = {urlsplit(address).netloc for address in self.stopped}
        left = {host for host in self.hosts - stopped if host and not host.startswith(_OWN)}
        assert left == set()
        if not self.may_complain:
            refused = self.page.evaluate("window.refused ?? []")
            refused = [one for one in refused if _ASKED_BY_THE_SDK not in one]
            assert refused == [], refused
            assert self.errors == [], self.errors

    def _failed(self, request: Any) -> None:
        if request.failure == "csp":
            self.stopped.append(request.url)

    def _note(self, message: Any) -> None:
        # A picture that is not there is asked for, and shown as one without a preview.
        missing = message.text.startswith("Failed to load resource")
        missing = missing or _ASKED_BY_THE_SDK in message.text
        if message.type in {"error", "warning"} and not missing:
            self.errors.append(message.text)


class Records:
    """Writes records as the function does, or as a hand might, past the rules."""

    def __init__(self, host: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FIRESTORE_EMULATOR_HOST", host)
            client = firestore.Client(project=PROJECT)
        self._client = client
        self._host = host
        self._records = client.collection(COLLECTION)
        self.begun = dt.datetime.now(dt.UTC)

    def clear(self) -> None:
        """Delete all."""
        path = f"/emulator/v1/projects/{PROJECT}/databases/(default)/documents"
        call("DELETE", f"http://{self._host}{path}").raise_for_status()

    def read(self, name: str) -> dict[str, Any]:
        """Read one."""
        return self._records.document(record_id(BUCKET, name)).get().to_dict() or {}

    def delete(self, name: str) -> None:
        """Delete one."""
        self._records.document(record_id(BUCKET, name)).delete()

    def described(
        self, name: str, /, text: str = "A cat sleeps.", ago: float = 0.0, **more: Any
    ) -> str:
        """Write a finished record; give its id."""
        start = self.begun - dt.timedelta(seconds=ago)
        status = {
            "state": "COMPLETED",
            "outcome": "described",
            "firstTextTime": start + dt.timedelta(seconds=0.8),
            "completeTime": start + dt.timedelta(seconds=3),
        }
        usage = {"promptTokens": 300, "completionTokens": 40, "totalTokens": 340}
        fields = {"description": text, "source": "model", "usage": usage, **more}
        return self._set(name, start, status, fields)

    def writing(self, name: str, text: str = "", ago: float = 0.0, **more: Any) -> str:
        """Write a record of which the text is not finished."""
        start = self.begun - dt.timedelta(seconds=ago)
        lease = {"owner": "test", "expireTime": start + dt.timedelta(seconds=60)}
        fields = {"partialText": text, "lease": lease, **more}
        return self._set(name, start, {"state": "PROCESSING"}, fields)

    def failed(self, name: str, outcome: str, message: str = "", ago: float = 0.0) -> str:
        """Write a record that ended without a text."""
        start = self.begun - dt.timedelta(seconds=ago)
        status = {
            "state": "ERRORED",
            "outcome": outcome,
            "message": message,
            "completeTime": start + dt.timedelta(seconds=2),
        }
        return self._set(name, start, status, {})

    def many(self, count: int, ago: float = 100.0) -> None:
        """Write so many finished records, each a second older than the one before."""
        for begin in range(0, count, 200):
            batch = self._client.batch()
            for number in range(begin, min(count, begin + 200)):
                name = f"many/{number:04}.jpg"
                start = self.begun - dt.timedelta(seconds=ago + number)
                status = {
                    "state": "COMPLETED",
                    "outcome": "described",
                    "completeTime": start + dt.timedelta(seconds=3),
                }
                text = f"Picture {number}: a quiet street in the evening, with a lamp and a cat."
                fields = {"description": text, "source": "model"}
                document = self._records.document(record_id(BUCKET, name))
                batch.set(document, self._fields(name, start, status, fields))
            batch.commit()

    def growing(self, names: list[str], text: str) -> None:
        """Write the same unfinished text into several records at once."""
        batch = self._client.batch()
        lease = {"owner": "test", "expireTime": self.begun}
        for name in names:
            fields = {"partialText": text, "lease": lease}
            whole = self._fields(name, self.begun, {"state": "PROCESSING"}, fields)
            batch.set(self._records.document(record_id(BUCKET, name)), whole)
        batch.commit()

    def _set(self, name: str, start: dt.datetime, status: dict[str, Any], fields: Any) -> str:
        found = record_id(fields.get("bucket", BUCKET), name)
        self._records.document(found).set(self._fields(name, start, status, fields))
        return str(found)

    def _fields(self, name: str, start: dt.datetime, status: dict[str, Any], fields: Any) -> Any:
        whole = {"attempt": 1, "eventId": "1", "startTime": start, "updateTime": start, **status}
        return {
            "uri": f"gs://{BUCKET}/{name}",
            "bucket": BUCKET,
            "name": name,
            "generation": 1,
            "contentType": "image/webp",
            "size": 21_810,
            "model": "a-model",
            "language": "en",
            "schemaVersion": 1,
            **fields,
            "status": {**whole, **fields.get("status", {})},
        }
