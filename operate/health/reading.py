"""What is asked for, in three rounds: what is deployed, all that belongs to it, what that names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import describer
from describer.errors import SettingsError
from describer.settings import Settings
from operate.cloud import Answer, Call, Cloud, NotReadError, Unread, segment

if TYPE_CHECKING:
    from operate.health.asking import Asked

NOT_ASKED = Unread("not asked for")
# The oldest waiting event, as Pub/Sub measures it once a minute, some minutes late.
_BACKLOG_METRIC = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
_BACKLOG_MINUTES = 10
_RUN, _IAM = "https://run.googleapis.com/v2", "https://iam.googleapis.com/v1"
_STORAGE = "https://storage.googleapis.com/storage/v1/b"
_PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
_FUNCTIONS = "https://cloudfunctions.googleapis.com/v2"
_FIRESTORE = "https://firestore.googleapis.com/v1"
_RULES = "https://firebaserules.googleapis.com/v1"
_KMS = "https://cloudkms.googleapis.com/v1"
_PUBSUB = "https://pubsub.googleapis.com/v1"
# Whether anybody may sign in is one setting of the whole project.
# https://docs.cloud.google.com/identity-platform/docs/reference/rest/v2/projects/getConfig
_IDENTITY = "https://identitytoolkit.googleapis.com/admin/v2"
_V3 = {"options.requestedPolicyVersion": "3"}


@dataclass
class Deployment:
    """What was read of one deployment; checks take it and ask nothing.

    Attributes:
        name: the function's; the beginning of every other name.
        found: the functions of that name.
        answers: by what they are of, such as `project` or `bucket uploads`.
        source: the deployed archive.
        here: what Terraform would deploy from this checkout: content by name.
        asked: what came of a call of each model.
        asked_for_less: likewise in the cheaper lane, if the settings may have it.
        skews: see `Cloud.skews`.
        now: by this machine's clock.
        readers: who is meant to read, as Terraform's variable says; None: nobody told.
    """

    project: str
    name: str
    found: list[Mapping[str, Any]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    source: bytes | Unread = NOT_ASKED
    here: Mapping[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    asked_for_less: list[Asked] = field(default_factory=list)
    skews: list[float] = field(default_factory=list)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    readers: str | None = None

    def read(self, what: str) -> Mapping[str, Any]:
        """Give an answer's content.

        Raises:
            NotReadError: there is none.
        """
        answer = self.answers.get(what, NOT_ASKED)
        if isinstance(answer, Unread):
            raise NotReadError(answer.why)
        return answer

    def missing(self, what: str) -> bool:
        """Tell whether the API says that there is no such thing."""
        answer = self.answers.get(what)
        return isinstance(answer, Unread) and answer.missing

    @property
    def number(self) -> str:
        """The project's, which the names of Google's agents hold."""
        return str(self.read("project")["projectNumber"])

    @property
    def function(self) -> Mapping[str, Any]:
        """The function; where there is not exactly one, nothing else is checked."""
        return self.found[0]

    @property
    def region(self) -> str:
        """Where the function is."""
        return str(self.function["name"]).split("/")[3]

    @property
    def service(self) -> Mapping[str, Any]:
        """How the function runs."""
        return mapping(self.function.get("serviceConfig"))

    @property
    def build(self) -> Mapping[str, Any]:
        """How the function is built."""
        return mapping(self.function.get("buildConfig"))

    @property
    def trigger(self) -> Mapping[str, Any]:
        """The function's own trigger."""
        return mapping(self.function.get("eventTrigger"))

    @property
    def environ(self) -> Mapping[str, str]:
        """The function's variables."""
        return mapping(self.service.get("environmentVariables"))

    @property
    def settings(self) -> Settings:
        """What the function reads from them.

        Raises:
            NotReadError: it does not start with them.
        """
        try:
            return Settings.from_env(self.environ)
        except SettingsError as exc:
            raise NotReadError("the settings are wrong") from exc

    @property
    def database(self) -> str:
        """The database's id."""
        return self.environ.get("FIRESTORE_DATABASE") or "(default)"

    @property
    def collection(self) -> str:
        """The records' collection."""
        return self.environ.get("FIRESTORE_COLLECTION") or "descriptions"

    @property
    def own_bucket(self) -> str:
        """The bucket of the function's own trigger; "" if it has none."""
        return _filters(self.trigger).get("bucket", "")

    @property
    def buckets(self) -> list[str]:
        """All whose uploads are to be described; the function's own first."""
        further = (self.environ.get("BUCKETS") or "").split(",")
        named = [self.own_bucket, *(name.strip() for name in further)]
        return list(dict.fromkeys(name for name in named if name))

    @property
    def on_cloud_trace(self) -> bool:
        """Whether traces go to Google's own API for them."""
        endpoint = self.environ.get("TRACES_ENDPOINT") or ""
        return endpoint.startswith("https://telemetry.googleapis.com/")

    def account(self, which: str) -> str:
        """Give the address of the account that runs, triggers, builds, or serves the gallery.

        Returns:
            "" if there is none.
        """
        said = {
            "run": self.service.get("serviceAccountEmail"),
            "trigger": self.trigger.get("serviceAccountEmail"),
            "build": self.build.get("serviceAccount"),
            "gallery": mapping(self.gallery.get("serviceConfig")).get("serviceAccountEmail"),
        }[which]
        return str(said or "").rpartition("/")[2]

    @property
    def secrets(self) -> list[str]:
        """Resource names of the secrets that the function's variables are read from."""
        listed = self.service.get("secretEnvironmentVariables") or []
        return [
            f"projects/{one.get('projectId') or self.project}/secrets/{one.get('secret')}"
            for one in map(mapping, listed)
        ]

    @property
    def topic(self) -> str:
        """Resource name of the topic that hears of each record; "" if there is none."""
        topic = self.environ.get("EVENTS_TOPIC")
        project = self.environ.get("GOOGLE_CLOUD_PROJECT") or self.project
        return f"projects/{project}/topics/{topic}" if topic else ""

    @property
    def job(self) -> Mapping[str, Any]:
        """The schedule by which the function looks for what was lost; empty if none was read."""
        return self._found("job")

    @property
    def gallery(self) -> Mapping[str, Any]:
        """The function that serves the gallery; empty if there is none."""
        wanted = f"{self.function['name']}-gallery"
        listed = self.read("functions")["functions"]
        return next((one for one in listed if one.get("name") == wanted), {})

    @property
    def gallery_environ(self) -> Mapping[str, str]:
        """The gallery's variables."""
        return mapping(mapping(self.gallery.get("serviceConfig")).get("environmentVariables"))

    @property
    def writers(self) -> bool:
        """Whether somebody may upload from the gallery."""
        return bool(self.gallery_environ.get("WRITERS"))

    @property
    def signs_in(self) -> bool:
        """Whether somebody may sign in to the gallery."""
        return self.gallery_environ.get("READERS") == "signed_in" or self.writers

    def triggers(self, bucket: str, event: str) -> list[Mapping[str, Any]]:
        """Give the triggers that bring this bucket's events of a type to the function.

        Raises:
            NotReadError: where the bucket is, or what triggers are there, is not known.
        """
        places = {str(self.read(f"bucket {bucket}")["location"]).lower()}
        if bucket == self.own_bucket:
            places.add(str(self.trigger["triggerRegion"]))
        listed = [one for at in sorted(places) for one in self.read(f"triggers {at}")["triggers"]]
        return [one for one in listed if self._brings(one, bucket, event)]

    def _brings(self, trigger: Mapping[str, Any], bucket: str, event: str) -> bool:
        filters, to = _filters(trigger), mapping(trigger.get("destination"))
        here = to.get("cloudFunction") == self.function["name"] or (
            mapping(to.get("cloudRun")).get("service") == self.name
            and mapping(to.get("cloudRun")).get("region") == self.region
        )
        return here and filters.get("bucket") == bucket and filters.get("type") == event

    @property
    def encryption_keys(self) -> dict[str, set[str]]:
        """Give the customer-managed keys, and the agents that use each."""
        used: dict[str, set[str]] = {}
        if key := self.function.get("kmsKeyName"):
            agents = {"artifactregistry", "cloudfunctions", "eventarc", "run", "storage"}
            used.setdefault(str(key), set()).update(agents)
        for bucket in self.buckets:
            encryption = mapping(self._found(f"bucket {bucket}").get("encryption"))
            if key := encryption.get("defaultKmsKeyName"):
                used.setdefault(str(key), set()).add("storage")
        if key := mapping(self._found("database").get("cmekConfig")).get("kmsKeyName"):
            used.setdefault(str(key), set()).add("firestore")
        return used

    def _found(self, what: str) -> Mapping[str, Any]:
        answer = self.answers.get(what)
        return answer if isinstance(answer, Mapping) else {}


def mapping(value: object) -> Mapping[str, Any]:
    """Give a part of an answer that may be left out as a mapping."""
    return value if isinstance(value, Mapping) else {}


def bindings(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give who has which role, of a policy."""
    return [mapping(one) for one in policy.get("bindings") or []]


def _filters(trigger: Mapping[str, Any]) -> dict[str, str]:
    """Give what a trigger's events are chosen by."""
    listed = map(mapping, trigger.get("eventFilters") or [])
    return {str(one.get("attribute")): str(one.get("value")) for one in listed}


def read_deployment(cloud: Cloud, name: str, region: str | None) -> Deployment:
    """Ask for all that the checks look at, but for the models."""
    project = cloud.project
    read = Deployment(project, name, here=files_here())
    at = f"projects/{project}/locations/{region or '-'}"
    first = {
        "project": Call(f"{_PROJECTS}/{segment(project)}", "resourcemanager.projects.get"),
        "functions": Call(
            f"{_FUNCTIONS}/{at}/functions", "cloudfunctions.functions.list", items="functions"
        ),
    }
    read.answers |= cloud.ask(first)
    listed = read.answers["functions"]
    if not isinstance(listed, Unread):
        wanted = re.compile(rf"projects/[^/]+/locations/[^/]+/functions/{re.escape(name)}\Z")
        read.found = [one for one in listed["functions"] if wanted.match(str(one.get("name")))]
    if len(read.found) == 1:
        read.answers |= cloud.ask(dict(_second(read)))
        read.answers |= cloud.ask(dict(_third(read)))
        read.answers |= cloud.ask(dict(_last(read)))
        stored = mapping(mapping(read.build.get("source")).get("storageSource"))
        if stored:
            read.source = cloud.download(str(stored.get("bucket")), str(stored.get("object")))
    read.skews = list(cloud.skews)
    return read


def _second(read: Deployment) -> Iterator[tuple[str, Call]]:
    project, name = read.project, read.name
    place = f"projects/{project}/locations/{read.region}"
    yield (
        "billing",
        Call(
            f"https://cloudbilling.googleapis.com/v1/projects/{segment(project)}/billingInfo",
            "resourcemanager.projects.get",
        ),
    )
    yield (
        "services",
        Call(
            f"https://serviceusage.googleapis.com/v1/projects/{segment(project)}/services",
            "serviceusage.services.list",
            {"filter": "state:ENABLED", "pageSize": "200"},
            items="services",
        ),
    )
    yield (
        "policy project",
        Call(
            f"{_PROJECTS}/{segment(project)}:getIamPolicy",
            "resourcemanager.projects.getIamPolicy",
            body={"options": {"requestedPolicyVersion": 3}},
        ),
    )
    service = f"{_RUN}/{place}/services/{name}"
    yield "service", Call(service, "run.services.get")
    yield "policy service", Call(f"{service}:getIamPolicy", "run.services.getIamPolicy", _V3)
    for which in ("run", "trigger", "build", "gallery"):
        if email := read.account(which):
            account = f"{_IAM}/projects/{project}/serviceAccounts/{segment(email)}"
            yield f"account {which}", Call(account, "iam.serviceAccounts.get")
            if which in {"trigger", "gallery"}:
                right = "iam.serviceAccounts.getIamPolicy"
                yield f"policy {which}", Call(f"{account}:getIamPolicy", right, body={})
    if repository := read.build.get("dockerRepository"):
        url = f"https://artifactregistry.googleapis.com/v1/{repository}:getIamPolicy"
        right = "artifactregistry.repositories.getIamPolicy"
        yield "policy repository", Call(url, right, _V3)
    for bucket in read.buckets:
        yield f"bucket {bucket}", Call(f"{_STORAGE}/{segment(bucket)}", "storage.buckets.get")
    source = mapping(mapping(read.build.get("source")).get("storageSource")).get("bucket")
    for bucket in dict.fromkeys([*read.buckets, *([str(source)] if source else [])]):
        url = f"{_STORAGE}/{segment(bucket)}/iam"
        params = {"optionsRequestedPolicyVersion": "3"}
        yield f"policy bucket {bucket}", Call(url, "storage.buckets.getIamPolicy", params)
    for secret in read.secrets:
        url = f"https://secretmanager.googleapis.com/v1/{secret}:getIamPolicy"
        yield f"policy {secret}", Call(url, "secretmanager.secrets.getIamPolicy", _V3)
    database = f"{_FIRESTORE}/projects/{project}/databases/{read.database}"
    yield "database", Call(database, "datastore.databases.get")
    yield (
        "fields",
        Call(
            f"{database}/collectionGroups/{segment(read.collection)}/fields",
            "datastore.indexes.list",
            {"filter": "indexConfig.usesAncestorConfig:false OR ttlConfig:*", "pageSize": "200"},
            items="fields",
        ),
    )
    release = "cloud.firestore" + ("" if read.database == "(default)" else f"/{read.database}")
    url = f"{_RULES}/projects/{project}/releases/{release}"
    yield "release", Call(url, "firebaserules.releases.get")
    url = f"https://cloudtasks.googleapis.com/v2/{place}/queues/{name}-backfill"
    yield "queue", Call(url, "cloudtasks.queues.get")
    url = f"https://cloudscheduler.googleapis.com/v1/{place}/jobs/{name}-reconcile"
    yield "job", Call(url, "cloudscheduler.jobs.get")
    if read.topic:
        url = f"{_PUBSUB}/{read.topic}"
        yield "topic", Call(url, "pubsub.topics.get")
        yield "policy topic", Call(f"{url}:getIamPolicy", "pubsub.topics.getIamPolicy", _V3)
    if read.gallery:
        url = f"{service}-gallery:getIamPolicy"
        yield "policy gallery's service", Call(url, "run.services.getIamPolicy", _V3)
    if read.signs_in:
        url = f"{_IDENTITY}/projects/{segment(project)}/config"
        yield "sign-in", Call(url, "firebaseauth.configs.get")


def _third(read: Deployment) -> Iterator[tuple[str, Call]]:
    places = [str(read.trigger.get("triggerRegion") or "")]
    for bucket in read.buckets:
        answer = read.answers[f"bucket {bucket}"]
        places += [] if isinstance(answer, Unread) else [str(answer.get("location", "")).lower()]
    for place in dict.fromkeys(place for place in places if place):
        url = (
            f"https://eventarc.googleapis.com/v1/projects/{read.project}/locations/{place}/triggers"
        )
        yield f"triggers {place}", Call(url, "eventarc.triggers.list", items="triggers")
    release = read.answers["release"]
    if not isinstance(release, Unread):
        url = f"{_RULES}/{release.get('rulesetName')}"
        yield "ruleset", Call(url, "firebaserules.rulesets.get")
    for key in read.encryption_keys:
        right = "cloudkms.cryptoKeys.getIamPolicy"
        yield f"policy {key}", Call(f"{_KMS}/{key}:getIamPolicy", right, _V3)
    for role in sorted(_roles(read)):
        right = "iam.roles.get"
        yield f"role {role}", Call(f"{_IAM}/{role}", right)


def _roles(read: Deployment) -> set[str]:
    """Give the roles that the deployment's accounts, and Google's agents, are given anywhere."""
    agents = "@gcp-sa-", "@gs-project-accounts."
    accounts = ("run", "trigger", "build", "gallery")
    ours = {f"serviceAccount:{read.account(which)}" for which in accounts}
    roles = set()
    for what, answer in read.answers.items():
        if not what.startswith("policy ") or isinstance(answer, Unread):
            continue
        for binding in bindings(answer):
            members = [str(member) for member in binding.get("members") or []]
            if any(m in ours or any(a in m for a in agents) for m in members):
                roles.add(str(binding.get("role")))
    return roles


def _last(read: Deployment) -> Iterator[tuple[str, Call]]:
    began = read.now - timedelta(minutes=_BACKLOG_MINUTES)
    for what, answer in list(read.answers.items()):
        if not what.startswith("triggers ") or isinstance(answer, Unread):
            continue
        for trigger in answer["triggers"]:
            name = subscription_of(trigger)
            if not name:
                continue
            url = f"{_PUBSUB}/{name}"
            yield f"subscription {name}", Call(url, "pubsub.subscriptions.get")
            identity = name.rpartition("/")[2]
            params = {
                "filter": f'metric.type="{_BACKLOG_METRIC}" AND '
                f'resource.labels.subscription_id="{identity}"',
                "interval.startTime": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "interval.endTime": read.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            url = f"https://monitoring.googleapis.com/v3/projects/{read.project}/timeSeries"
            call = Call(url, "monitoring.timeSeries.list", params, items="timeSeries")
            yield f"backlog {name}", call


def subscription_of(trigger: Mapping[str, Any]) -> str:
    """Give the resource name of the subscription that a trigger delivers from; "" if none yet."""
    transport = mapping(mapping(trigger.get("transport")).get("pubsub"))
    return str(transport.get("subscription") or "")


def files_here() -> dict[str, bytes]:
    """Give what Terraform would deploy from here; of an installed package, only the package."""
    root = Path(describer.__file__).resolve().parents[1]
    paths = [root / "main.py", root / "requirements.txt", *(root / "describer").rglob("*.py")]
    # An installed package stands beside others, and what is not the program's is not looked at.
    if not (root / "terraform").is_dir():
        paths = paths[2:]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
