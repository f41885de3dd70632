"""The schedule by which the function looks for what was lost on the way. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from describer.delivery.reconcile import REQUESTED, Window
from describer.errors import MalformedEventError
from operate.cloud import NotReadError
from operate.health.finding import Finding, ok, unchecked, wrong
from operate.health.reading import Deployment, bindings, mapping

_AGENT = "@gcp-sa-cloudscheduler.iam.gserviceaccount.com"


def is_scheduled(read: Deployment) -> bool:
    """Tell whether Terraform was asked for a schedule, as far as it can be told.

    No setting of the function says so. Where there is no job, the right that its caller was given
    on the trigger's account tells that there was one.
    """
    try:
        listed = bindings(read.read("policy trigger"))
    except NotReadError:
        listed = []
    return bool(read.job) or any(
        _AGENT in str(member) for binding in listed for member in binding.get("members") or ()
    )


def check_schedule(read: Deployment) -> Iterator[Finding]:
    """Look at the job of Cloud Scheduler, if there is one; without one it is said to be off."""
    name = f"{read.name}-reconcile"
    try:
        job = read.read("job")
    except NotReadError as exc:
        # Where there is no schedule, nobody has enabled its API.
        if not read.missing("job") and "not enabled" not in str(exc):
            raise
        if is_scheduled(read):
            why = f"there is no job {name}" if read.missing("job") else str(exc)
            message = f"{why}; but Cloud Scheduler may sign for {read.account('trigger')}"
            yield unchecked("reconcile", message, "terraform apply, if reconcile is to be on")
        else:
            yield ok("reconcile", f"off: there is no job {name}")
        return
    if (state := job["state"]) != "ENABLED":
        remedy = f"gcloud scheduler jobs resume {name} --location={read.region}"
        if state != "PAUSED":
            remedy = "terraform apply"
        yield wrong("reconcile", f"{name} is {state}: what was lost stays so", remedy)
    elif faults := list(_faults(read, mapping(job["httpTarget"]))):
        yield wrong("reconcile", "; ".join(faults), "terraform apply")
    # A number of google.rpc.Code, none where all is well.
    # https://docs.cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#Job
    elif code := mapping(job.get("status")).get("code"):
        said = mapping(job.get("status")).get("message") or "nothing more is said"
        yield wrong(
            "reconcile",
            f"the attempt of {job.get('lastAttemptTime')} failed with code {code}: {said}",
            "gcloud logging read 'resource.type=cloud_scheduler_job "
            f"resource.labels.job_id={name}' --limit=5",
        )
    else:
        last = job.get("lastAttemptTime") or "not yet"
        yield ok("reconcile", f"{job['schedule']} ({job['timeZone']}), last: {last}")


def _faults(read: Deployment, target: Mapping[str, Any]) -> Iterator[str]:
    """Give what the function would refuse, or never get."""
    here = str(read.service["uri"])
    token = mapping(target.get("oidcToken"))
    # Cloud Scheduler may add a slash, and takes the address where no audience is named.
    # https://docs.cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#OidcToken
    address = str(target.get("uri")).rstrip("/")
    audience = str(token.get("audience") or address).rstrip("/")
    headers = {name.lower(): value for name, value in mapping(target.get("headers")).items()}
    if address != here:
        yield f"it calls {address}, not {here}"
    if audience != here:
        yield f"its token is for {audience}, not for {here}"
    if (account := token.get("serviceAccountEmail")) != read.account("trigger"):
        yield f"it calls as {account or 'nobody'}, not as {read.account('trigger')}"
    if (method := target.get("httpMethod")) != "POST":
        yield f"its method is {method}, not POST"
    if (event := headers.get("ce-type")) != REQUESTED:
        yield f"its event is {event}, not {REQUESTED}"
    try:
        Window.read(json.loads(base64.b64decode(str(target.get("body") or ""))))
    except (MalformedEventError, ValueError) as exc:
        yield f"the function refuses its body: {exc}"
