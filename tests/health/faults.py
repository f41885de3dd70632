"""Faults, each with the one line of `describer doctor` that is to find it."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from describer.settings import DEFAULT_MODEL
from tests.health.sound import (
    ACCOUNTS,
    BILLING,
    BUCKETS,
    BUILD,
    DATABASE,
    FIELDS,
    FUNCTION,
    FUNCTIONS,
    IMAGES,
    MORE,
    POLICY,
    PREDICT,
    PROJECT,
    PROJECT_AT,
    QUEUE,
    RECORDS,
    REGION,
    RELEASE,
    REPOSITORY,
    ROLES,
    RULES,
    RUN,
    SERIES,
    SERVICE,
    SOURCE,
    TRIGGER,
    State,
    agent,
    archive,
    binding,
    member,
)
from tests.health.variants import (
    ENCRYPT,
    FURTHER_SUB,
    FURTHER_TRIGGERS,
    GALLERY,
    GALLERY_ACCOUNT,
    GALLERY_SERVICE_POLICY,
    JOB,
    KEYS,
    OBJECT_CREATOR,
    OBJECT_READER,
    OWN_SUB,
    OWN_TRIGGERS,
    SECRET,
    SIGN_IN,
    SIGNER,
    TOKEN_CREATOR,
    TOPIC,
    TRIGGER_POLICY,
    VIEWER,
    announced,
    another_model,
    gallery,
    own_keys,
    public_gallery,
    removals,
    schedule,
    traces,
)

Break = Callable[[State], object]


@dataclass(frozen=True)
class Fault:
    """One thing that is broken.

    Attributes:
        check: the one line that is to say so.
        says: what it has to name.
        remedy: what its remedy has to name.
        unchecked: lines that cannot be had for it.
        arguments: of the command.
    """

    name: str
    plant: Break
    check: str
    says: str
    remedy: str = "terraform apply"
    unchecked: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


def put(address: str, *path: str | int, value: Any) -> Break:
    """Set one value inside an answer; `None` takes it out."""

    def plant(state: State) -> None:
        inside = state.answers[address]
        for part in path[:-1]:
            inside = inside[part]
        if value is None:
            del inside[path[-1]]
        else:
            inside[path[-1]] = value

    return plant


def gone(address: str) -> Break:
    return lambda state: state.answers.pop(address)


def ungranted(address: str, role: str, whom: str) -> Break:
    return lambda state: state.ungrant(address, role, whom)


def in_function(*path: str, value: Any) -> Break:
    return put(FUNCTIONS, "functions", 0, *path, value=value)


def variable(name: str, value: str) -> Break:
    return in_function("serviceConfig", "environmentVariables", name, value=value)


def condition(role: str, expression: str) -> Break:
    """Change the condition of a role on the project; "" takes it away."""

    def plant(state: State) -> None:
        (found,) = (one for one in state.policy(POLICY) if one["role"] == role)
        if expression:
            found["condition"]["expression"] = expression
        else:
            del found["condition"]

    return plant


def repacked(changes: dict[str, bytes | None]) -> Break:
    """Deploy another archive: files changed, added, or with None left out."""

    def plant(state: State) -> None:
        packed = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(archive())) as old,
            zipfile.ZipFile(packed, "w") as new,
        ):
            contents: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
            for name, content in (contents | changes).items():
                if content is not None:
                    new.writestr(name, content)
        state.answers[f"{BUCKETS}/{SOURCE}/o/source-1234.zip"] = packed.getvalue()

    return plant


def not_sold(state: State) -> None:
    state.environment["MODEL_LOCATION"] = "europe-west4"


def forgotten_model(state: State) -> None:
    state.environment["MODELS"] = "google/gemini-9-flash"


def rules(path: str, allowed: str) -> Break:
    """Release rules that allow this below a path."""
    content = f"""rules_version = '2';
        service cloud.firestore {{ match /databases/{{database}}/documents {{
            match /{path} {{ allow {allowed}; }} // allow write: if true;
        }} }}"""
    return put(RULES, "source", "files", 0, "content", value=content)


def doubled(state: State) -> None:
    listed = state.answers[FURTHER_TRIGGERS]["triggers"]
    listed.append({**listed[0], "name": f"projects/{PROJECT}/locations/eu/triggers/by-hand"})


def exempt(state: State) -> None:
    state.answers[FIELDS]["fields"].append(
        {"name": f"{FIELDS.partition('/v1/')[2]}/uri", "indexConfig": {}}
    )


def indexed(state: State) -> None:
    fields = state.answers[FIELDS]["fields"]
    fields[:] = [one for one in fields if not one["name"].endswith("/partialText")]


def twice(state: State) -> None:
    copy = json.loads(json.dumps(state.function))
    copy["name"] = FUNCTION.replace(REGION, "europe-west4")
    state.answers[FUNCTIONS]["functions"].append(copy)


def both(first: Break, second: Break) -> Break:
    """Do one thing after the other."""

    def plant(state: State) -> None:
        first(state)
        second(state)

    return plant


def in_gallery(*path: str, value: Any) -> Break:
    return both(gallery, put(FUNCTIONS, "functions", -1, *path, value=value))


def gallery_variable(name: str, value: str) -> Break:
    return in_gallery("serviceConfig", "environmentVariables", name, value=value)


def begin_exempt(state: State) -> None:
    """Take the index of the time of the beginning away."""
    (found,) = (one for one in state.answers[FIELDS]["fields"] if "startTime" in one["name"])
    found["indexConfig"].pop("indexes", None)


def begin_indexed(order: str = "DESCENDING", state: str = "READY") -> Break:
    """Index the time of the beginning so."""

    def plant(google: State) -> None:
        begin_exempt(google)
        (found,) = (one for one in google.answers[FIELDS]["fields"] if "startTime" in one["name"])
        fields = [{"fieldPath": "status.startTime", "order": order}]
        found["indexConfig"]["indexes"] = [
            {"queryScope": "COLLECTION", "fields": fields, "state": state}
        ]

    return plant


FAULTS = [
    Fault(
        "project-gone",
        gone(PROJECT_AT),
        "project",
        "not there",
        "GOOGLE_CLOUD_PROJECT",
        ("buckets", "rights"),
    ),
    Fault(
        "project-deleted",
        put(PROJECT_AT, "lifecycleState", value="DELETE_REQUESTED"),
        "project",
        "DELETE_REQUESTED",
        "undelete",
    ),
    Fault("billing-off", put(BILLING, "billingEnabled", value=False), "billing", "off", "billing"),
    Fault(
        "clock", lambda state: setattr(state, "clock_ahead_seconds", 300), "clock", "behind", "NTP"
    ),
    Fault(
        "api-off",
        lambda state: state.disable("aiplatform.googleapis.com"),
        "APIs",
        "aiplatform.googleapis.com",
        "gcloud services enable",
    ),
    Fault(
        "api-off-monitoring",
        lambda state: state.disable("monitoring.googleapis.com"),
        "APIs",
        "monitoring",
        "gcloud services enable",
        (f"backlog of {IMAGES}", f"backlog of {MORE}"),
    ),
    Fault(
        "function-gone",
        lambda state: state.answers[FUNCTIONS]["functions"].pop(0),
        "function",
        "there is none",
        "--function",
    ),
    Fault("function-twice", twice, "function", "europe-west4", "--region"),
    Fault("function-failed", in_function("state", value="FAILED"), "function", "FAILED"),
    Fault(
        "entry-point", in_function("buildConfig", "entryPoint", value="main"), "function", "main"
    ),
    Fault(
        "ingress",
        in_function("serviceConfig", "ingressSettings", value="ALLOW_ALL"),
        "function",
        "ALLOW_ALL",
    ),
    Fault("timeout", in_function("serviceConfig", "timeoutSeconds", value=60), "function", "60 s"),
    Fault(
        "setting",
        variable("LEASE_SECONDS", "5"),
        "settings",
        "LEASE_SECONDS",
        "variable",
        ("APIs", "function", "models", "retirement", "indexes", "rights"),
    ),
    Fault("bucket-not-taken", variable("BUCKETS", MORE), "settings", IMAGES),
    Fault("other-project", variable("GOOGLE_CLOUD_PROJECT", "elsewhere"), "settings", "elsewhere"),
    Fault(
        "revision-fails",
        put(SERVICE, "latestCreatedRevision", value="a/revisions/describer-5"),
        "revision",
        "describer-5",
        "gcloud logging read",
    ),
    Fault(
        "traffic-pinned",
        put(
            SERVICE,
            "traffic",
            value=[
                {
                    "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
                    "revision": "old",
                    "percent": 100,
                }
            ],
        ),
        "revision",
        "old",
        "--to-latest",
    ),
    Fault(
        "archive-changed",
        repacked({"describer/values.py": b"# older"}),
        "archive",
        "changed: describer/values.py",
    ),
    Fault(
        "archive-lacks",
        repacked({"describer/threads.py": None}),
        "archive",
        "only here: describer/threads.py",
    ),
    Fault(
        "archive-more",
        repacked({"describer/old.py": b""}),
        "archive",
        "only deployed: describer/old.py",
    ),
    Fault("archive-gone", gone(f"{BUCKETS}/{SOURCE}/o/source-1234.zip"), "archive", "any more"),
    Fault(
        "model-unknown",
        variable("MODEL", "google/gemini-9-flash"),
        "model google/gemini-9-flash",
        "not served",
        "model_location",
    ),
    Fault("model-location", not_sold, f"model {DEFAULT_MODEL}", "europe-west4", "model_location"),
    Fault(
        "fallback-unknown", forgotten_model, "model google/gemini-9-flash", "not served", "model"
    ),
    Fault("bucket-gone", gone(f"{BUCKETS}/{MORE}"), f"bucket {MORE}", "not there"),
    Fault(
        "bucket-elsewhere",
        put(f"{BUCKETS}/{MORE}", "projectNumber", value="5"),
        f"bucket {MORE}",
        "project 5",
        "deploy into",
    ),
    Fault(
        "trigger-place",
        in_function("eventTrigger", "triggerRegion", value="eu"),
        f"trigger of {IMAGES}",
        "at eu",
    ),
    Fault(
        "trigger-gone",
        put(FURTHER_TRIGGERS, "triggers", value=[]),
        f"trigger of {MORE}",
        "there is none",
    ),
    Fault(
        "trigger-of-another-type",
        put(
            OWN_TRIGGERS,
            "triggers",
            0,
            "eventFilters",
            0,
            "value",
            value="google.cloud.storage.object.v1.deleted",
        ),
        f"trigger of {IMAGES}",
        "there is none",
    ),
    Fault("trigger-twice", doubled, f"trigger of {MORE}", "by-hand", "delete"),
    Fault(
        "no-retry",
        in_function("eventTrigger", "retryPolicy", value="RETRY_POLICY_DO_NOT_RETRY"),
        f"trigger of {IMAGES}",
        "DO_NOT_RETRY",
    ),
    Fault(
        "no-retry-further",
        put(FURTHER_TRIGGERS, "triggers", 0, "retryPolicy", value={"maxAttempts": 1}),
        f"trigger of {MORE}",
        "dropped",
    ),
    Fault(
        "trigger-account",
        put(FURTHER_TRIGGERS, "triggers", 0, "serviceAccount", value="x@y"),
        f"trigger of {MORE}",
        "x@y",
    ),
    Fault(
        "trigger-condition",
        put(
            FURTHER_TRIGGERS,
            "triggers",
            0,
            "conditions",
            value={"NotReady": {"code": "PERMISSION_DENIED", "message": "cannot publish"}},
        ),
        f"trigger of {MORE}",
        "cannot publish",
    ),
    Fault("subscription-gone", gone(OWN_SUB), f"subscription of {IMAGES}", "not there"),
    Fault(
        "topic-deleted",
        put(OWN_SUB, "topic", value="_deleted-topic_"),
        f"subscription of {IMAGES}",
        "topic is deleted",
    ),
    Fault(
        "ack-deadline",
        put(OWN_SUB, "ackDeadlineSeconds", value=10),
        f"subscription of {IMAGES}",
        "10 s",
        "--ack-deadline=600",
    ),
    Fault("pull", put(FURTHER_SUB, "pushConfig", value={}), f"subscription of {MORE}", "nowhere"),
    Fault(
        "push-account",
        put(FURTHER_SUB, "pushConfig", "oidcToken", "serviceAccountEmail", value="x@y"),
        f"subscription of {MORE}",
        "x@y",
    ),
    Fault(
        "retention",
        put(FURTHER_SUB, "messageRetentionDuration", value="600s"),
        f"subscription of {MORE}",
        "600 s",
        "--message-retention-duration",
    ),
    Fault(
        "subscription-state",
        put(OWN_SUB, "state", value="RESOURCE_ERROR"),
        f"subscription of {IMAGES}",
        "RESOURCE_ERROR",
    ),
    Fault(
        "backlog",
        put(SERIES, "timeSeries", 0, "points", 0, "value", "int64Value", value="7200"),
        f"backlog of {IMAGES}",
        "2:00:00",
        "retry",
    ),
    Fault("database-gone", gone(DATABASE), "database", "not there", "create_database"),
    Fault(
        "datastore-mode",
        put(DATABASE, "type", value="DATASTORE_MODE"),
        "database",
        "DATASTORE_MODE",
        "firestore_database",
    ),
    Fault("field-indexed", indexed, "indexes", "partialText"),
    Fault("field-not-indexed", exempt, "indexes", "uri", "--clear-exemption"),
    Fault(
        "rules-none",
        gone(RELEASE),
        "rules",
        "by none",
        "manage_rules",
        arguments=("--readers=public",),
    ),
    Fault(
        "rules-open",
        rules("{document=**}", "read, write: if request.time < timestamp.date(2027, 1, 1)"),
        "rules",
        "anybody may write",
        "manage_rules",
    ),
    Fault(
        "rules-open-to-all-users",
        rules("descriptions/{record}", "read, create: if request.auth  !=\n null"),
        "rules",
        "allow create, read",
        "manage_rules",
    ),
    Fault(
        "rules-elsewhere",
        rules("recipes/{id}", "read: if true"),
        "rules",
        "descriptions may be read by none",
        "manage_rules",
        arguments=("--readers=signed_in",),
    ),
    Fault(
        "rules-of-other-readers",
        rules("descriptions/{record}", "read: if true"),
        "rules",
        "may be read if true",
        "manage_rules",
        arguments=("--readers=signed_in",),
    ),
    Fault("queue-paused", put(QUEUE, "state", value="PAUSED"), "queue", "PAUSED", "resume"),
    Fault(
        "account-gone",
        gone(f"{ACCOUNTS}/{BUILD.replace('@', '%40')}"),
        "account that builds",
        "not there",
    ),
    Fault(
        "account-disabled",
        put(f"{ACCOUNTS}/{RUN.replace('@', '%40')}", "disabled", value=True),
        "account that runs",
        "disabled",
        "enable",
    ),
    Fault(
        "storage-agent",
        ungranted(POLICY, "roles/pubsub.publisher", agent("gs-project-accounts")),
        "Cloud Storage publishes",
        "gs-project-accounts",
    ),
    Fault(
        "eventarc-agent",
        ungranted(POLICY, "roles/eventarc.serviceAgent", agent("gcp-sa-eventarc")),
        "Eventarc's agent",
        "lacks",
    ),
    Fault(
        "pubsub-agent",
        ungranted(TRIGGER_POLICY, SIGNER, agent("gcp-sa-pubsub")),
        "Pub/Sub signs",
        "gcp-sa-pubsub",
    ),
    Fault(
        "tasks-agent",
        ungranted(POLICY, "roles/cloudtasks.serviceAgent", agent("gcp-sa-cloudtasks")),
        "Cloud Tasks signs",
        "lacks",
    ),
    Fault(
        "receiver",
        ungranted(POLICY, "roles/eventarc.eventReceiver", member(TRIGGER)),
        "trigger receives",
        TRIGGER,
    ),
    Fault(
        "invoker",
        ungranted(f"{SERVICE}:getIamPolicy", "roles/run.invoker", member(TRIGGER)),
        "trigger invokes",
        "403",
    ),
    Fault(
        "public",
        lambda state: state.policy(f"{SERVICE}:getIamPolicy").append(
            binding("roles/run.invoker", "allUsers")
        ),
        "service is closed",
        "allUsers",
        "remove-iam",
    ),
    Fault("predict", ungranted(POLICY, PREDICT, member(RUN)), "run calls the model", "lacks"),
    Fault(
        "role-emptied",
        put(f"{ROLES}/{PREDICT}", "includedPermissions", value=[]),
        "run calls the model",
        "lacks",
    ),
    Fault(
        "role-deleted",
        put(f"{ROLES}/{RECORDS}", "deleted", value=True),
        "run writes records",
        "lacks",
    ),
    Fault(
        "role-short",
        put(f"{ROLES}/{RECORDS}", "includedPermissions", value=["datastore.entities.get"]),
        "run writes records",
        "lacks",
    ),
    Fault("records", ungranted(POLICY, RECORDS, member(RUN)), "run writes records", "no record"),
    Fault("condition-gone", condition(RECORDS, ""), "run writes records", "without the condition"),
    Fault(
        "condition-other",
        condition(RECORDS, f'resource.name == "projects/{PROJECT}/databases/other"'),
        "run writes records",
        "another condition",
    ),
    Fault(
        "removals-cannot-delete",
        both(
            removals,
            put(
                f"{ROLES}/{RECORDS}",
                "includedPermissions",
                value=[f"datastore.entities.{verb}" for verb in ("create", "get", "update")],
            ),
        ),
        "run writes records",
        "lacks",
    ),
    Fault(
        "removals-trigger-gone",
        both(removals, lambda state: state.answers[OWN_TRIGGERS]["triggers"].pop()),
        f"trigger of {IMAGES}, deleted",
        "there is none",
    ),
    Fault(
        "traces-writer",
        both(traces, ungranted(POLICY, "roles/telemetry.tracesWriter", member(RUN))),
        "run writes traces",
        "lacks",
    ),
    Fault(
        "traces-api-off",
        both(traces, lambda state: state.disable("telemetry.googleapis.com")),
        "APIs",
        "telemetry.googleapis.com",
        "gcloud services enable",
    ),
    Fault(
        "key-of-the-bucket",
        both(
            own_keys, ungranted(KEYS + "bucket:getIamPolicy", ENCRYPT, agent("gs-project-accounts"))
        ),
        "storage uses bucket",
        "gs-project-accounts",
    ),
    Fault(
        "key-of-the-database",
        both(
            own_keys, ungranted(KEYS + "database:getIamPolicy", ENCRYPT, agent("gcp-sa-firestore"))
        ),
        "firestore uses database",
        "lacks",
    ),
    Fault(
        "agent-made-early",
        both(own_keys, ungranted(POLICY, "roles/run.serviceAgent", agent("serverless-robot-prod"))),
        "agent of run",
        "lacks",
    ),
    Fault(
        "key-of-the-model",
        both(
            another_model,
            ungranted(SECRET, "roles/secretmanager.secretAccessor", member(RUN)),
        ),
        "run reads model-key",
        "does not start",
        unchecked=("model own",),
    ),
    Fault("reuse-cannot-list", variable("REUSE", "true"), "run writes records", "lacks"),
    Fault(
        "run-reads",
        ungranted(f"{BUCKETS}/{MORE}/iam", VIEWER, member(RUN)),
        f"run reads {MORE}",
        RUN,
    ),
    Fault(
        "vertex-reads",
        ungranted(f"{BUCKETS}/{IMAGES}/iam", VIEWER, agent("gcp-sa-aiplatform")),
        f"Vertex AI reads {IMAGES}",
        "gcp-sa-aiplatform",
    ),
    Fault(
        "build-logs",
        ungranted(POLICY, "roles/logging.logWriter", member(BUILD)),
        "build writes logs",
        BUILD,
    ),
    Fault(
        "build-pushes",
        ungranted(
            f"artifactregistry.googleapis.com/v1/{REPOSITORY}:getIamPolicy",
            "roles/artifactregistry.writer",
            member(BUILD),
        ),
        "build pushes images",
        BUILD,
    ),
    Fault(
        "build-source",
        ungranted(f"{BUCKETS}/{SOURCE}/iam", VIEWER, member(BUILD)),
        "build reads the source",
        BUILD,
    ),
    Fault(
        "build-copy",
        ungranted(POLICY, VIEWER, member(BUILD)),
        "build reads the copied source",
        "gcf-v2-sources",
    ),
    Fault(
        "schedule-paused",
        both(schedule, put(JOB, "state", value="PAUSED")),
        "reconcile",
        "PAUSED",
        "resume describer-reconcile",
    ),
    Fault(
        "schedule-disabled",
        both(schedule, put(JOB, "state", value="DISABLED")),
        "reconcile",
        "DISABLED",
    ),
    Fault(
        "schedule-failed",
        both(schedule, put(JOB, "status", value={"code": 7, "message": "refused"})),
        "reconcile",
        "failed with code 7: refused",
        "gcloud logging read",
    ),
    Fault(
        "schedule-elsewhere",
        both(schedule, put(JOB, "httpTarget", "uri", value="https://old-x-uc.a.run.app/")),
        "reconcile",
        "it calls https://old-x-uc.a.run.app,",
    ),
    Fault(
        "schedule-audience",
        both(
            schedule,
            put(JOB, "httpTarget", "oidcToken", "audience", value="https://old-x-uc.a.run.app"),
        ),
        "reconcile",
        "its token is for https://old-x-uc.a.run.app",
    ),
    Fault(
        "schedule-account",
        both(schedule, put(JOB, "httpTarget", "oidcToken", "serviceAccountEmail", value=RUN)),
        "reconcile",
        f"as {RUN}",
    ),
    Fault(
        "schedule-without-token",
        both(schedule, put(JOB, "httpTarget", "oidcToken", value=None)),
        "reconcile",
        "as nobody",
    ),
    Fault(
        "schedule-method",
        both(schedule, put(JOB, "httpTarget", "httpMethod", value="GET")),
        "reconcile",
        "GET",
    ),
    Fault(
        "schedule-event",
        both(schedule, put(JOB, "httpTarget", "headers", "ce-type", value="other")),
        "reconcile",
        "its event is other",
    ),
    Fault(
        "schedule-body",
        both(schedule, put(JOB, "httpTarget", "body", value="eyJkYXlzIjo0MDB9")),
        "reconcile",
        "days is not a number from 0 to 365",
    ),
    Fault(
        "schedule-no-body",
        both(schedule, put(JOB, "httpTarget", "body", value=None)),
        "reconcile",
        "refuses its body",
    ),
    Fault(
        "schedule-agent",
        both(schedule, ungranted(TRIGGER_POLICY, SIGNER, agent("gcp-sa-cloudscheduler"))),
        "Cloud Scheduler signs",
        "gcp-sa-cloudscheduler",
    ),
    Fault(
        "schedule-cannot-list",
        both(
            schedule,
            lambda state: state.answers[f"{ROLES}/{RECORDS}"]["includedPermissions"].remove(
                "datastore.entities.list"
            ),
        ),
        "run writes records",
        "lacks",
    ),
    Fault(
        "schedule-api-off",
        both(schedule, lambda state: state.disable("cloudscheduler.googleapis.com")),
        "APIs",
        "cloudscheduler.googleapis.com",
        "gcloud services enable",
        ("reconcile",),
    ),
    Fault(
        "topic-gone",
        both(announced, both(gone(TOPIC), gone(f"{TOPIC}:getIamPolicy"))),
        "events topic",
        "descriptions is not there",
    ),
    Fault(
        "topic-publisher",
        both(
            announced,
            ungranted(f"{TOPIC}:getIamPolicy", "roles/pubsub.publisher", member(RUN)),
        ),
        "run publishes events",
        "the events topic",
    ),
    Fault("gallery-failed", in_gallery("state", value="FAILED"), "gallery", "FAILED"),
    Fault(
        "gallery-entry-point",
        in_gallery("buildConfig", "entryPoint", value="main"),
        "gallery",
        "entry point is main",
    ),
    Fault(
        "gallery-ingress",
        in_gallery("serviceConfig", "ingressSettings", value="ALLOW_INTERNAL_ONLY"),
        "gallery",
        "no browser",
    ),
    Fault(
        "gallery-collection",
        gallery_variable("FIRESTORE_COLLECTION", "others"),
        "gallery",
        "FIRESTORE_COLLECTION is others, not descriptions",
    ),
    Fault(
        "gallery-buckets",
        gallery_variable("BUCKETS", f"{MORE},{IMAGES}"),
        "gallery",
        "BUCKETS is",
    ),
    Fault("gallery-key", gallery_variable("API_KEY", ""), "gallery", "API_KEY is missing"),
    Fault("gallery-readers", gallery_variable("READERS", "none"), "gallery", "READERS is none"),
    Fault(
        "gallery-signs-as-another",
        gallery_variable("SERVICE_ACCOUNT", RUN),
        "gallery",
        f"SERVICE_ACCOUNT is {RUN}",
    ),
    Fault(
        "gallery-account-disabled",
        both(gallery, put(GALLERY_ACCOUNT, "disabled", value=True)),
        "account that serves the gallery",
        "disabled",
        "enable",
    ),
    Fault(
        "gallery-signs",
        both(
            gallery,
            ungranted(f"{GALLERY_ACCOUNT}:getIamPolicy", TOKEN_CREATOR, member(GALLERY)),
        ),
        "gallery signs",
        "its own account",
    ),
    Fault(
        "gallery-reads",
        both(gallery, ungranted(f"{BUCKETS}/{MORE}/iam", OBJECT_READER, member(GALLERY))),
        f"gallery reads {MORE}",
        GALLERY,
    ),
    Fault(
        "gallery-uploads",
        both(gallery, ungranted(f"{BUCKETS}/{IMAGES}/iam", OBJECT_CREATOR, member(GALLERY))),
        f"gallery uploads to {IMAGES}",
        "lacks",
    ),
    Fault(
        "gallery-uploads-for-nobody",
        both(
            public_gallery,
            lambda state: state.policy(f"{BUCKETS}/{MORE}/iam").append(
                binding("roles/storage.objectAdmin", member(GALLERY))
            ),
        ),
        f"gallery uploads to {MORE}",
        "there are no writers",
        "remove-iam-policy-binding",
    ),
    Fault(
        "gallery-closed",
        both(gallery, ungranted(GALLERY_SERVICE_POLICY, "roles/run.invoker", "allUsers")),
        "gallery is open",
        "the gallery's service",
    ),
    Fault(
        "gallery-copied-source",
        both(gallery, lambda state: state.policy(POLICY).pop()),
        "build reads the gallery's copied source",
        "/objects/describer-gallery/",
    ),
    Fault(
        "gallery-api-off",
        both(gallery, lambda state: state.disable("iamcredentials.googleapis.com")),
        "APIs",
        "iamcredentials.googleapis.com",
        "gcloud services enable",
    ),
    Fault(
        "sign-in-api-off",
        both(gallery, lambda state: state.disable("identitytoolkit.googleapis.com")),
        "APIs",
        "identitytoolkit.googleapis.com",
        "gcloud services enable",
        ("sign-in",),
    ),
    Fault(
        "sign-in-not-set-up",
        both(gallery, gone(SIGN_IN)),
        "sign-in",
        "not set up",
        "manage_sign_in",
    ),
    Fault(
        "sign-in-off",
        both(gallery, put(SIGN_IN, "signIn", "email", "enabled", value=False)),
        "sign-in",
        "by e-mail is off",
        "manage_sign_in",
    ),
    Fault("gallery-not-ordered", both(gallery, begin_exempt), "indexes", "status.startTime"),
    Fault(
        "gallery-index-not-ready",
        both(gallery, begin_indexed(state="CREATING")),
        "indexes",
        "newest first",
    ),
    Fault(
        "gallery-index-upside-down",
        both(gallery, begin_indexed(order="ASCENDING")),
        "indexes",
        "newest first",
    ),
    Fault("begin-indexed-for-nobody", begin_indexed(), "indexes", "status.startTime is indexed"),
]
