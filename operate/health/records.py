"""Where the records are: database, indexes, rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from operate.health.finding import Finding, ok, wrong
from operate.health.reading import Deployment, mapping

# As terraform/module/firestore.tf exempts them; a test compares the two.
UNINDEXED = (
    "description",
    "partialText",
    "status.message",
    "status.startTime",
    "status.firstTextTime",
    "status.refusedSince",
    "status.updateTime",
    "status.completeTime",
    "lease.expireTime",
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ALLOW = re.compile(r"allow\s+([a-z,\s]+?)\s*(?::\s*if\s+(.*?))?\s*;", re.DOTALL)
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
    exempt, indexed = set(), {}
    for one in read.read("fields")["fields"]:
        name = str(one["name"]).rpartition("/fields/")[2].replace("`", "")
        config = mapping(one.get("indexConfig"))
        if config.get("usesAncestorConfig"):
            continue
        if config.get("indexes"):
            indexed[name] = config["indexes"]
        else:
            exempt.add(name)
    asked = {"uri", *(["md5Hash"] if read.settings.reuse else [])}
    if lost := sorted(asked & exempt):
        yield wrong(
            "indexes",
            f"{', '.join(lost)} has none: what asks by it fails",
            f"gcloud firestore indexes fields update {lost[0]} --clear-exemption "
            f"--database='{read.database}' --collection-group={read.collection}",
        )
    elif more := sorted(set(UNINDEXED) - exempt):
        message = f"{', '.join(more)} is indexed: paid for at each write, and a limit to their rate"
        yield wrong("indexes", message, "terraform apply")
    else:
        yield ok("indexes", f"{len(UNINDEXED)} fields are exempt, what is asked for is not")


def check_rules(read: Deployment) -> Iterator[Finding]:
    """Look whether clients are kept to what the rules of firestore.rules.tftpl let them."""
    if read.missing("database"):
        return
    if read.missing("release"):
        yield wrong(
            "rules",
            "none are released, so that no web or mobile client can read",
            "terraform apply with manage_rules = true",
        )
        return
    read.read("release")
    files = mapping(read.read("ruleset").get("source")).get("files") or []
    text = _COMMENT.sub("", "\n".join(str(mapping(one).get("content") or "") for one in files))
    remedy = "terraform apply with manage_rules = true, or take over the output firestore_rules"
    if not re.search(rf"match\s+/({re.escape(read.collection)}|\{{\w+(=\*\*)?\}})/", text) and (
        not re.search(r"match\s+/\{\w+=\*\*\}", text)
    ):
        message = f"they do not speak of {read.collection}, so that no client can read it"
        yield wrong("rules", message, remedy)
    elif opened := _opened(text):
        yield wrong("rules", f"anybody may write: {opened}", remedy)
    else:
        yield ok("rules", "released, and nobody writes whom they do not name")


def _opened(rules: str) -> str:
    """Give the first line that lets in whoever asks to write; "" if there is none."""
    for verbs, condition in _ALLOW.findall(rules):
        asked = {verb.strip() for verb in verbs.split(",")}
        if asked & _WRITES and (not condition or _OPEN.match(" ".join(condition.split()))):
            return f"allow {', '.join(sorted(asked))}" + (f": if {condition}" if condition else "")
    return ""
