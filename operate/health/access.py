"""Whether each account, and each of Google's agents, may do what it has to. Pure.

What is granted stands in terraform/module: iam.tf, events.tf, gallery.tf; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from operate.cloud import NotReadError, Unread
from operate.health.finding import Finding, ok, unchecked, wrong
from operate.health.reading import Deployment, bindings, mapping

_VIEWER = "roles/storage.objectViewer"
_SIGNER = "roles/iam.serviceAccountOpenIdTokenCreator"
_SIGNS = ("iam.serviceAccounts.getOpenIdToken",)
_READS = ("storage.objects.get", "storage.objects.list")
_CREATES = ("storage.objects.create",)


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody must be allowed to do.

    Attributes:
        check: its line in the report.
        member: as policies spell it.
        role: as Terraform gives it.
        permissions: what any other role must hold to do as well; none: no other does.
        places: what it may be granted on: names of policies that were read.
        without: what happens where it is missing.
        condition: the expression that Terraform gives with it; "": none.
    """

    check: str
    member: str
    role: str
    permissions: tuple[str, ...]
    places: tuple[str, ...]
    without: str
    condition: str = ""


def check_rights(read: Deployment) -> Iterator[Finding]:
    """Judge every right that this deployment needs."""
    for right in rights(read):
        yield judge(right, read)
    if read.gallery and not read.writers:
        yield from _needless_uploads(read)
    anyone = {"allUsers", "allAuthenticatedUsers"}
    for binding in bindings(read.read("policy service")):
        if found := anyone & set(binding.get("members") or ()):
            yield wrong(
                "service is closed",
                f"{', '.join(sorted(found))} may call the function ({binding.get('role')})",
                f"gcloud run services remove-iam-policy-binding {read.name} "
                f"--region={read.region} --member={min(found)} --role={binding.get('role')}",
            )


def rights(read: Deployment) -> Iterator[Right]:
    """Give every right that this deployment needs, in the order of an event's way."""
    project, number, name = read.project, read.number, read.name
    settings = read.settings
    short = name.replace("-", "_")
    run, trigger, build = (
        f"serviceAccount:{read.account(which)}" for which in ("run", "trigger", "build")
    )
    agents = _Agents(number)

    yield Right(
        "Cloud Storage publishes",
        agents["storage"],
        "roles/pubsub.publisher",
        ("pubsub.topics.publish",),
        ("project",),
        "no upload becomes an event",
    )
    yield Right(
        "Eventarc's agent",
        agents["eventarc"],
        "roles/eventarc.serviceAgent",
        (),
        ("project",),
        "triggers cannot be made or kept",
    )
    yield Right(
        "Pub/Sub signs",
        agents["pubsub"],
        _SIGNER,
        _SIGNS,
        ("trigger", "project"),
        "events stay in the subscription, and nothing says why",
    )
    yield Right(
        "trigger receives",
        trigger,
        "roles/eventarc.eventReceiver",
        ("eventarc.events.receiveEvent",),
        ("project",),
        "the trigger delivers nothing",
    )
    yield Right(
        "trigger invokes",
        trigger,
        "roles/run.invoker",
        ("run.routes.invoke",),
        ("service", "project"),
        "each delivery is refused with 403",
    )
    yield Right(
        "run writes records",
        run,
        f"projects/{project}/roles/{short}_records",
        (
            "datastore.entities.create",
            "datastore.entities.get",
            "datastore.entities.update",
            *(("datastore.entities.list",) if settings.reuse or read.job else ()),
            *(("datastore.entities.delete",) if settings.delete_records else ()),
        ),
        ("project",),
        "no record is written, and each delivery comes again",
        f'resource.name == "projects/{project}/databases/{read.database}"',
    )
    if read.topic and not read.missing("topic"):
        yield Right(
            "run publishes events",
            run,
            "roles/pubsub.publisher",
            ("pubsub.topics.publish",),
            ("topic", "project"),
            "each delivery comes again for what it cannot publish",
        )
    if settings.on_vertex:
        yield Right(
            "run calls the model",
            run,
            f"projects/{project}/roles/{short}_predict",
            ("aiplatform.endpoints.predict",),
            ("project",),
            "the model refuses with 403, and each delivery comes again",
        )
    if read.on_cloud_trace:
        yield Right(
            "run writes traces",
            run,
            "roles/telemetry.tracesWriter",
            ("telemetry.traces.write",),
            ("project",),
            "no trace is kept; descriptions are made all the same",
        )
    for bucket in read.buckets:
        if read.missing(f"bucket {bucket}"):
            continue  # said of the bucket itself
        yield Right(
            f"run reads {bucket}",
            run,
            _VIEWER,
            _READS,
            (f"bucket {bucket}", "project"),
            "images that are sent as bytes cannot be read, and a deleted one looks like a refusal",
        )
        if settings.on_vertex and settings.image_input != "inline":
            yield Right(
                f"Vertex AI reads {bucket}",
                agents["aiplatform"],
                _VIEWER,
                _READS,
                (f"bucket {bucket}", "project"),
                "the model cannot read the gs:// address that it is sent",
            )
    for secret in read.secrets:
        yield Right(
            f"run reads {secret.rpartition('/')[2]}",
            run,
            "roles/secretmanager.secretAccessor",
            ("secretmanager.versions.access",),
            (secret, "project"),
            "the function does not start without the key",
        )
    yield from _of_the_build(read, build)
    yield from _of_other_callers(read, agents)
    if read.gallery:
        yield from _of_the_gallery(read)
    # Made early where a key is to be given to them, and then without the role that Google gives.
    early = ("artifactregistry", "cloudfunctions", "run")
    for user in early if read.function.get("kmsKeyName") else ():
        yield Right(
            f"agent of {user}",
            agents[user],
            f"roles/{user}.serviceAgent",
            (),
            ("project",),
            "images cannot be pulled, or the function not be deployed",
        )
    for key, users in read.encryption_keys.items():
        for user in sorted(users):
            yield Right(
                f"{user} uses {key.rpartition('/')[2]}",
                agents[user],
                "roles/cloudkms.cryptoKeyEncrypterDecrypter",
                (
                    "cloudkms.cryptoKeyVersions.useToDecrypt",
                    "cloudkms.cryptoKeyVersions.useToEncrypt",
                ),
                (key,),
                "what is encrypted with the key cannot be read or written",
            )


def _of_other_callers(read: Deployment, agents: _Agents) -> Iterator[Right]:
    if not read.missing("queue") and not isinstance(read.answers["queue"], Unread):
        yield Right(
            "Cloud Tasks signs",
            agents["cloudtasks"],
            "roles/cloudtasks.serviceAgent",
            _SIGNS,
            ("project", "trigger"),
            "what is queued is delivered without an identity, and refused",
        )
    if read.job:
        yield Right(
            "Cloud Scheduler signs",
            agents["cloudscheduler"],
            _SIGNER,
            _SIGNS,
            ("trigger", "project"),
            "the function is asked without an identity, and what was lost stays so",
        )


def _of_the_gallery(read: Deployment) -> Iterator[Right]:
    gallery = f"serviceAccount:{read.account('gallery')}"
    yield Right(
        "gallery is open",
        "allUsers",
        "roles/run.invoker",
        ("run.routes.invoke",),
        ("gallery's service",),
        "nobody gets the page",
    )
    yield Right(
        "gallery signs",
        gallery,
        "roles/iam.serviceAccountTokenCreator",
        ("iam.serviceAccounts.signBlob",),
        ("gallery", "project"),
        "no picture is shown",
    )
    for bucket in read.buckets:
        if not read.missing(f"bucket {bucket}"):
            yield Right(
                f"gallery reads {bucket}",
                gallery,
                "roles/storage.legacyObjectReader",
                ("storage.objects.get",),
                (f"bucket {bucket}", "project"),
                "its pictures are not shown",
            )
    if read.writers and not read.missing(f"bucket {read.own_bucket}"):
        yield _uploads(read, read.own_bucket)


def _uploads(read: Deployment, bucket: str) -> Right:
    return Right(
        f"gallery uploads to {bucket}",
        f"serviceAccount:{read.account('gallery')}",
        "roles/storage.objectCreator",
        _CREATES,
        (f"bucket {bucket}", "project"),
        "each upload is refused",
    )


def _needless_uploads(read: Deployment) -> Iterator[Finding]:
    """Look whether the gallery may create objects, where there are no `writers` to do it for."""
    for bucket in read.buckets:
        right = _uploads(read, bucket)
        if (found := judge(right, read)).state == "ok":
            who = read.account("gallery")
            yield wrong(
                right.check,
                f"{who} has {found.message} there, but there are no writers",
                f"gcloud storage buckets remove-iam-policy-binding gs://{bucket} "
                f"--member=serviceAccount:{who} --role={found.message}",
            )


def _of_the_build(read: Deployment, build: str) -> Iterator[Right]:
    without = "the next deployment fails; what runs is not touched"
    yield Right(
        "build writes logs",
        build,
        "roles/logging.logWriter",
        ("logging.logEntries.create",),
        ("project",),
        without,
    )
    yield Right(
        "build pushes images",
        build,
        "roles/artifactregistry.writer",
        ("artifactregistry.repositories.uploadArtifacts",),
        ("repository", "project"),
        without,
    )
    source = mapping(mapping(read.build.get("source")).get("storageSource")).get("bucket")
    if source:
        yield Right(
            "build reads the source", build, _VIEWER, _READS, (f"bucket {source}",), without
        )
    copied = {"build reads the copied source": read.name}
    if read.gallery:
        copied["build reads the gallery's copied source"] = f"{read.name}-gallery"
    for check, name in copied.items():
        yield Right(check, build, _VIEWER, _READS, ("project",), without, _copied(read, name))


def _copied(read: Deployment, name: str) -> str:
    """Give the condition of iam.tf on the copies that Cloud Run functions makes of the source."""
    copies = f"projects/_/buckets/gcf-v2-sources-{read.number}-{read.region}"
    if read.function.get("kmsKeyName"):
        return (
            f'resource.name.startsWith("{copies}-") && '
            '(resource.type == "storage.googleapis.com/Bucket" || '
            f'resource.name.extract("/objects/{{object}}").startsWith("{name}/"))'
        )
    return f'resource.name == "{copies}" || resource.name.startsWith("{copies}/objects/{name}/")'


class _Agents:
    """Google's own accounts in a project.

    Source: https://docs.cloud.google.com/iam/docs/service-agents
    """

    _KINDS: Mapping[str, str] = {
        "aiplatform": "gcp-sa-aiplatform",
        "artifactregistry": "gcp-sa-artifactregistry",
        "cloudfunctions": "gcf-admin-robot",
        "cloudscheduler": "gcp-sa-cloudscheduler",
        "cloudtasks": "gcp-sa-cloudtasks",
        "eventarc": "gcp-sa-eventarc",
        "firestore": "gcp-sa-firestore",
        "pubsub": "gcp-sa-pubsub",
        "run": "serverless-robot-prod",
        "storage": "gs-project-accounts",
    }

    def __init__(self, number: str) -> None:
        self._number = number

    def __getitem__(self, service: str) -> str:
        domain = f"{self._KINDS[service]}.iam.gserviceaccount.com"
        return f"serviceAccount:service-{self._number}@{domain}"


def judge(right: Right, read: Deployment) -> Finding:
    """Look for one right where it may be granted."""
    granted: dict[str, str] = {}
    unread = []
    for place in right.places:
        try:
            listed = bindings(read.read(f"policy {place}"))
        except NotReadError as exc:
            unread.append(f"{place}: {exc}")
            continue
        for binding in listed:
            role = str(binding.get("role"))
            if right.member not in (binding.get("members") or ()):
                continue
            grants = _grants(right, role, read)
            if grants is None:
                unread.append(f"what {role} allows")
            elif grants:
                condition = str(mapping(binding.get("condition")).get("expression") or "")
                granted[_same(condition)] = role
    who = right.member.removeprefix("serviceAccount:")
    where = _spoken(right.places[0])
    remedy = f"terraform apply; it gives {who} the role {right.role} on {where}"
    if right.condition:
        remedy += f" where {right.condition}"
    if right.condition and "" in granted:
        message = f"{who} has {granted['']} without the condition that Terraform sets"
        return wrong(right.check, message, remedy)
    if role := granted.get(_same(right.condition), ""):
        return ok(right.check, role)
    if granted:
        condition, role = next(iter(granted.items()))
        return wrong(right.check, f"{who} has {role} under another condition: {condition}", remedy)
    if unread:
        return unchecked(right.check, "; ".join(unread))
    return wrong(right.check, f"{who} lacks {right.role} on {where}: {right.without}", remedy)


def _grants(right: Right, role: str, read: Deployment) -> bool | None:
    """Tell whether a role gives a right; None if nobody knows what it allows."""
    own = role.startswith("projects/")
    if role == right.role and not own:
        return True
    if not right.permissions:
        return False
    if read.missing(f"role {role}"):
        return False
    try:
        definition = read.read(f"role {role}")
    except NotReadError:
        return None
    allowed = set(definition.get("includedPermissions") or ())
    return not definition.get("deleted") and allowed.issuperset(right.permissions)


def _same(expression: str) -> str:
    """Give a condition as it is compared: spaces do not matter."""
    return "".join(expression.split())


def _spoken(place: str) -> str:
    words: dict[str, Any] = {
        "project": "the project",
        "service": "the function's service",
        "trigger": "the trigger's account",
        "gallery": "its own account",
        "gallery's service": "the gallery's service",
        "topic": "the events topic",
        "repository": "the repository of images",
    }
    return str(words.get(place, place))
