"""Where the records are: database, indexes, rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from operate.health.finding import Finding, ok, wrong
from operate.health.reading import Deployment, mapping

# As terraform/module/firestore.tf exempts them; a test compares the two.
UNINDEXED = (
    "description",
    "descriptions",
    "partialText",
    "textInImage",
    "status.message",
    "status.startTime",
    "status.firstTextTime",
    "status.refusedSince",
    "status.updateTime",
    "status.completeTime",
    "lease.expireTime",
)
# What the gallery orders by.
_ORDERED = "status.startTime"
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ALLOW = re.compile(r"allow\s+([a-z,\s]+?)\s*(?::\s*if\s+(.*?))?\s*;", re.DOTALL)
# What firestore.rules.tftpl makes of each.
_READERS = {"none": "false", "signed_in": "request.auth != null", "public": "true"}
_WRITES = {"write", "create", "update", "delete"}
# What lets in whoever asks: always, whoever signs up, or until a day that the console set.
_OPEN = re.compile(r"(true|request\.auth\s*!=\s*null|request\.time\s*<\s*timestamp\.date\(.*\))\Z")


def check_database(read: Deployment) -> Iterator[Finding]:
    """Look whether the database is there, and of the right kind."""
    if read.missing("database"):
        yield wrong(
            "database",
            f"{read.database} is not there",
            "terraform apply with create_database = true, or correct firestore_database",
        )
        return
    found = read.read("database")
    if (kind := found["type"]) != "FIRESTORE_NATIVE":
        yield wrong(
            "database",
            f"{read.database} is of the kind {kind}, which nobody can listen to",
            "name another in firestore_database, and apply",
        )
    else:
        yield ok("database", f"{read.database} at {found['locationId']}")


def check_indexes(read: Deployment) -> Iterator[Finding]:
    """Look at the exemptions: long or growing fields have no index, what is asked for has one."""
    if read.missing("database"):
        return
    indexed: dict[str, list[Mapping[str, Any]]] = {}
    for one in read.read("fields")["fields"]:
        name = str(one["name"]).rpartition("/fields/")[2].replace("`", "")
        config = mapping(one.get("indexConfig"))
        if not config.get("usesAncestorConfig"):
            indexed[name] = config.get("indexes") or []
    exempt = {name for name, indexes in indexed.items() if not indexes}
    unindexed = set(UNINDEXED) - ({_ORDERED} if read.gallery else set())
    asked = {"uri", *(["md5Hash"] if read.settings.reuse else [])}
    if lost := sorted(asked & exempt):
        yield wrong(
            "indexes",
            f"{', '.join(lost)} has none: what asks by it fails",
            f"gcloud firestore indexes fields update {lost[0]} --clear-exemption "
            f"--database='{read.database}' --collection-group={read.collection}",
        )
    elif read.gallery and not _orders(indexed.get(_ORDERED)):
        message = f"{_ORDERED} has none with the newest first: the gallery shows no records"
        yield wrong("indexes", message, "terraform apply; it takes a while where there are many")
    elif more := sorted(unindexed - exempt):
        message = f"{', '.join(more)} is indexed: paid for at each write, and a limit to their rate"
        yield wrong("indexes", message, "terraform apply")
    else:
        yield ok("indexes", f"{len(unindexed)} fields are exempt, what is asked for is not")


def _orders(indexes: Sequence[Mapping[str, Any]] | None) -> bool:
    """Tell whether the gallery's query is served; a field that nobody spoke of has all indexes."""
    return indexes is None or any(
        mapping(field).get("order") == "DESCENDING"
        for index in indexes
        if index.get("state", "READY") == "READY"
        for field in index.get("fields") or ()
    )


def check_rules(read: Deployment) -> Iterator[Finding]:
    """Look whether clients are kept to what they are meant to do.

    A database that was there before keeps its own rules, and who may read is no setting of the
    function: so reading is judged only where somebody says what `readers` is.
    """
    if read.missing("database"):
        return
    remedy = "terraform apply with manage_rules = true, or take over the output firestore_rules"
    text = ""
    if not read.missing("release"):
        read.read("release")
        files = read.read("ruleset")["source"]["files"]
        text = _COMMENT.sub("", "\n".join(one["content"] for one in files))
    found = _reading(text, read.collection)
    if opened := _opened(text):
        yield wrong("rules", f"anybody may write: {opened}", remedy)
    elif read.readers and (found or "false") != _READERS[read.readers]:
        how = f"if {found}" if found else "by none"
        message = f"readers is {read.readers}, but {read.collection} may be read {how}"
        yield wrong("rules", message, remedy)
    elif found:
        yield ok("rules", f"{read.collection} may be read if {found}")
    else:
        yield ok("rules", f"{read.collection} is not spoken of, so that no client may read it")


def _reading(rules: str, collection: str) -> str:
    """Give the condition on which the collection may be read; "" where nothing is said of it."""
    itself, any_of_them = rf"{re.escape(collection)}/\{{", r"\{\w+=\*\*\}|\{\w+\}/\{"
    for path in (itself, any_of_them):
        if block := re.search(rf"match\s+/(?:{path})(.*?)(?:\bmatch\s|\Z)", rules, re.DOTALL):
            for verbs, condition in _ALLOW.findall(block[1]):
                if {"read", "get"} & {verb.strip() for verb in verbs.split(",")}:
                    return " ".join(condition.split()) or "true"
    return ""


def _opened(rules: str) -> str:
    """Give the first line that lets in whoever asks to write; "" if there is none."""
    for verbs, condition in _ALLOW.findall(rules):
        asked = {verb.strip() for verb in verbs.split(",")}
        if asked & _WRITES and (not condition or _OPEN.match(" ".join(condition.split()))):
            return f"allow {', '.join(sorted(asked))}" + (f": if {condition}" if condition else "")
    return ""
