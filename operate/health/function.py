"""Project, APIs, clock, and the function: its state, settings, accounts and archive. Pure."""

from __future__ import annotations

import io
import statistics
import zipfile
import zlib
from collections.abc import Iterator

from describer.errors import SettingsError
from describer.settings import Settings
from operate.cloud import NotReadError, Unread
from operate.health.finding import Finding, ok, unchecked, wrong
from operate.health.reading import Deployment, mapping
from operate.health.schedule import is_scheduled

# Tokens are refused from some minutes on; ages and times that are told here are wrong long before.
_SKEW_SECONDS = 60.0
# Besides the stream: claim, the wait for memory, and record; as Terraform asks for.
_BESIDES_SECONDS = 120
_NAMES_SHOWN = 5
LATER = "ask again in some minutes"
# As terraform/module/services.tf enables them; a test compares the two.
_SERVICES = (
    "artifactregistry cloudbuild cloudfunctions eventarc firebaserules firestore iam logging "
    "monitoring pubsub run storage"
)


def check_project(read: Deployment) -> Iterator[Finding]:
    """Look whether the project is there, and live."""
    if read.missing("project"):
        yield wrong(
            "project",
            f"{read.project} is not there, or not to be seen",
            "set GOOGLE_CLOUD_PROJECT to the project's id, not its name or number",
        )
        return
    state = read.read("project")["lifecycleState"]
    if state == "ACTIVE":
        yield ok("project", f"{read.project}, number {read.number}")
    else:
        remedy = f"gcloud projects undelete {read.project}"
        yield wrong("project", f"{read.project} is {state}", remedy)


def check_billing(read: Deployment) -> Iterator[Finding]:
    """Look whether somebody pays."""
    if read.read("billing").get("billingEnabled") is True:
        yield ok("billing", "on")
    else:
        yield wrong(
            "billing",
            "off: nothing that costs is served",
            f"gcloud billing projects link {read.project} --billing-account=ACCOUNT",
        )


def check_services(read: Deployment) -> Iterator[Finding]:
    """Look whether each API that is used is enabled."""
    enabled = {
        str(mapping(one.get("config")).get("name") or str(one.get("name")).rpartition("/")[2])
        for one in read.read("services")["services"]
    }
    needed = {f"{name}.googleapis.com" for name in _SERVICES.split()}
    needed |= {"aiplatform.googleapis.com"} if read.settings.on_vertex else set()
    needed |= {"secretmanager.googleapis.com"} if read.secrets else set()
    needed |= (
        {"cloudtrace.googleapis.com", "telemetry.googleapis.com"} if read.on_cloud_trace else set()
    )
    needed |= {"cloudkms.googleapis.com"} if read.encryption_keys else set()
    needed |= {"cloudscheduler.googleapis.com"} if is_scheduled(read) else set()
    if read.gallery:
        needed |= {"apikeys.googleapis.com", "iamcredentials.googleapis.com"}
    if read.signs_in:
        needed |= {"identitytoolkit.googleapis.com", "securetoken.googleapis.com"}
    if missing := sorted(needed - enabled):
        remedy = f"gcloud services enable {' '.join(missing)} --project={read.project}"
        yield wrong("APIs", f"not enabled: {', '.join(missing)}", remedy)
    else:
        yield ok("APIs", f"all {len(needed)} are enabled")


def check_clock(read: Deployment) -> Iterator[Finding]:
    """Compare this machine's clock with the services'."""
    if not read.skews:
        raise NotReadError("no answer told the time")
    skew = statistics.median(read.skews)
    if abs(skew) <= _SKEW_SECONDS:
        yield ok("clock", "this machine's agrees with Google's")
    else:
        side = "ahead of" if skew > 0 else "behind"
        yield wrong(
            "clock",
            f"this machine's is {abs(skew):,.0f} s {side} Google's",
            "set it by NTP, such as timedatectl set-ntp true; tokens are refused otherwise",
        )


def check_function(read: Deployment) -> Iterator[Finding]:
    """Look whether the function is deployed as Terraform does."""
    function, state = read.function, read.function.get("state")
    faults = []
    if state == "DEPLOYING":
        yield unchecked("function", "it is being deployed", LATER)
        return
    if state != "ACTIVE":
        said = "; ".join(
            str(mapping(one).get("message")) for one in function.get("stateMessages") or []
        )
        faults.append(f"it is {state}{f': {said}' if said else ''}")
    if (entry := read.build.get("entryPoint")) != "describe_image":
        faults.append(f"its entry point is {entry}, not describe_image")
    if (ingress := read.service.get("ingressSettings")) != "ALLOW_INTERNAL_ONLY":
        faults.append(f"its ingress is {ingress}, not ALLOW_INTERNAL_ONLY")
    seconds = int(read.service.get("timeoutSeconds") or 0)
    least = read.settings.stream_timeout_seconds + _BESIDES_SECONDS
    if seconds < least:
        faults.append(f"a delivery may take {seconds} s, a stream with the rest {least:g}")
    if faults:
        yield wrong("function", "; ".join(faults), "terraform apply")
    else:
        yield ok("function", f"{read.name} in {read.region}, {read.build.get('runtime')}")


def check_settings(read: Deployment) -> Iterator[Finding]:
    """Look whether the function starts with its variables, and takes its own bucket's events."""
    try:
        settings = Settings.from_env(read.environ)
    except SettingsError as exc:
        message = " ".join(str(exc).split())
        yield wrong("settings", message, "correct the Terraform variable of that name, and apply")
        return
    if settings.buckets and read.own_bucket and read.own_bucket not in settings.buckets:
        yield wrong(
            "settings",
            f"BUCKETS leaves out {read.own_bucket}, whose events are dropped",
            "terraform apply",
        )
    elif (named := settings.google_cloud_project or read.project) != read.project:
        yield wrong("settings", f"GOOGLE_CLOUD_PROJECT is {named}", "terraform apply")
    else:
        yield ok("settings", f"all {len(read.environ)} variables can be read")


def check_revision(read: Deployment) -> Iterator[Finding]:
    """Look whether the latest revision runs, and gets all of the events."""
    if read.missing("service"):
        yield wrong("revision", "the function has no service", "terraform apply")
        return
    service = read.read("service")
    if service.get("reconciling"):
        yield unchecked("revision", "Cloud Run is going over to another", LATER)
        return
    made, ready = (
        str(service.get(which) or "").rpartition("/")[2]
        for which in ("latestCreatedRevision", "latestReadyRevision")
    )
    if made != ready:
        condition = mapping(service.get("terminalCondition"))
        yield wrong(
            "revision",
            f"{made} does not start, {ready or 'none'} serves: {condition.get('message') or '?'}",
            f"gcloud logging read 'resource.labels.revision_name={made}' --limit=20",
        )
        return
    latest = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    targets = [mapping(one) for one in service.get("traffic") or []]
    elsewhere = [one for one in targets if one.get("type") != latest and one.get("percent")]
    if elsewhere:
        named = ", ".join(f"{one.get('percent')} % to {one.get('revision')}" for one in elsewhere)
        yield wrong(
            "revision",
            f"traffic is pinned: {named}",
            f"gcloud run services update-traffic {read.name} --region={read.region} --to-latest",
        )
    else:
        yield ok("revision", f"{ready} serves all")


def check_accounts(read: Deployment) -> Iterator[Finding]:
    """Look whether each account is there and may act."""
    accounts = {"run": "runs", "trigger": "delivers", "build": "builds"}
    accounts |= {"gallery": "serves the gallery"} if read.gallery else {}
    for which, does in accounts.items():
        check, email = f"account that {does}", read.account(which)
        if not email:
            yield wrong(check, "the function names none", "terraform apply")
        elif read.missing(f"account {which}"):
            yield wrong(check, f"{email} is not there", "terraform apply")
        else:
            try:
                disabled = read.read(f"account {which}").get("disabled")
            except NotReadError as exc:
                yield unchecked(check, str(exc))
                continue
            if disabled:
                remedy = f"gcloud iam service-accounts enable {email}"
                yield wrong(check, f"{email} is disabled", remedy)
            else:
                yield ok(check, email)


def check_archive(read: Deployment) -> Iterator[Finding]:
    """Compare what is deployed with this checkout."""
    if isinstance(read.source, Unread):
        if read.source.missing:
            yield wrong(
                "archive", "what was deployed is not in its bucket any more", "terraform apply"
            )
            return
        raise NotReadError(read.source.why)
    try:
        with zipfile.ZipFile(io.BytesIO(read.source)) as packed:
            deployed = {
                name: packed.read(name) for name in packed.namelist() if not name.endswith("/")
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as exc:
        raise NotReadError(f"the archive cannot be unpacked: {exc}") from exc
    if "main.py" not in read.here:
        # An installed package has neither entry point nor pins to compare.
        deployed = {
            name: content for name, content in deployed.items() if name.startswith("describer/")
        }
    kinds = {
        "changed": [n for n in deployed if n in read.here and deployed[n] != read.here[n]],
        "only deployed": [n for n in deployed if n not in read.here],
        "only here": [n for n in read.here if n not in deployed],
    }
    told = "; ".join(f"{kind}: {_some(names)}" for kind, names in kinds.items() if names)
    if told:
        yield wrong(
            "archive",
            f"this checkout is not what is deployed; {told}",
            "terraform apply, or check out what was deployed",
        )
    else:
        yield ok("archive", f"{len(deployed)} files, as in this checkout")


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return shown + (f" and {more} more" if more > 0 else "")
