"""What Google's APIs say of a sound deployment; `tests/terraform/test_doctor.py` compares the two.

Written by hand from the APIs' references, with the fields that a real answer has and the program
reads, and some that it does not.
"""

import functools
import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from describer.settings import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[2]
PROJECT, NUMBER, REGION = "test-project", "123456789012", "us-central1"
IMAGES, MORE = f"{PROJECT}-describer-images", "more-images"
SOURCE = f"{PROJECT}-describer-source-{REGION}"
FUNCTION = f"projects/{PROJECT}/locations/{REGION}/functions/describer"
RUN, TRIGGER, BUILD = (
    f"describer-{which}@{PROJECT}.iam.gserviceaccount.com" for which in ("run", "trigger", "build")
)
REVISION = f"{FUNCTION.replace('functions', 'services')}/revisions/describer-00004-luc"
OWN_TRIGGER = f"projects/{PROJECT}/locations/{REGION}/triggers/describer-382914"
FURTHER_TRIGGER = (
    f"projects/{PROJECT}/locations/eu/triggers/describer-"
    + hashlib.sha256(MORE.encode()).hexdigest()[:8]
)
OWN_SUBSCRIPTION = f"projects/{PROJECT}/subscriptions/eventarc-{REGION}-describer-382914-sub-071"
FURTHER_SUBSCRIPTION = f"projects/{PROJECT}/subscriptions/eventarc-eu-describer-5b9f-sub-392"
RULESET = f"projects/{PROJECT}/rulesets/5d0c1f2e-7a77-4d0c-8a6a-0c2f7a9d7e11"
URI = "https://describer-x-uc.a.run.app"
PREDICT = f"projects/{PROJECT}/roles/describer_predict"
RECORDS = f"projects/{PROJECT}/roles/describer_records"

# Parts of addresses in the state below.
POLICY = f"cloudresourcemanager.googleapis.com/v1/projects/{PROJECT}:getIamPolicy"
PROJECT_AT = f"cloudresourcemanager.googleapis.com/v1/projects/{PROJECT}"
BILLING = f"cloudbilling.googleapis.com/v1/projects/{PROJECT}/billingInfo"
SERVICES = f"serviceusage.googleapis.com/v1/projects/{PROJECT}/services"
FUNCTIONS = f"cloudfunctions.googleapis.com/v2/projects/{PROJECT}/locations/-/functions"
SERVICE = f"run.googleapis.com/v2/projects/{PROJECT}/locations/{REGION}/services/describer"
ACCOUNTS = f"iam.googleapis.com/v1/projects/{PROJECT}/serviceAccounts"
ROLES = "iam.googleapis.com/v1"
REPOSITORY = f"projects/{PROJECT}/locations/{REGION}/repositories/describer"
BUCKETS = "storage.googleapis.com/storage/v1/b"
DATABASE = f"firestore.googleapis.com/v1/projects/{PROJECT}/databases/(default)"
FIELDS = f"{DATABASE}/collectionGroups/descriptions/fields"
RELEASE = f"firebaserules.googleapis.com/v1/projects/{PROJECT}/releases/cloud.firestore"
RULES = f"firebaserules.googleapis.com/v1/{RULESET}"
QUEUES = f"cloudtasks.googleapis.com/v2/projects/{PROJECT}/locations/{REGION}/queues"
QUEUE = f"{QUEUES}/describer-backfill"
TRIGGERS = f"eventarc.googleapis.com/v1/projects/{PROJECT}/locations"
PUBSUB = "pubsub.googleapis.com/v1"
SERIES = f"monitoring.googleapis.com/v3/projects/{PROJECT}/timeSeries"

# Of what Google's own roles allow, what matters here.
# https://docs.cloud.google.com/iam/docs/roles-permissions
PREDEFINED = {
    "roles/artifactregistry.writer": ["artifactregistry.repositories.uploadArtifacts"],
    "roles/cloudtasks.serviceAgent": ["iam.serviceAccounts.getOpenIdToken"],
    "roles/editor": ["pubsub.topics.publish", "storage.buckets.list", "logging.logEntries.create"],
    "roles/eventarc.eventReceiver": ["eventarc.events.receiveEvent"],
    "roles/eventarc.serviceAgent": ["eventarc.triggers.get", "pubsub.topics.create"],
    "roles/iam.serviceAccountOpenIdTokenCreator": ["iam.serviceAccounts.getOpenIdToken"],
    "roles/iam.serviceAccountTokenCreator": [
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.signBlob",
    ],
    "roles/logging.logWriter": ["logging.logEntries.create"],
    "roles/pubsub.publisher": ["pubsub.topics.publish"],
    "roles/pubsub.serviceAgent": ["iam.serviceAccounts.getOpenIdToken"],
    "roles/pubsub.viewer": ["pubsub.topics.get"],
    "roles/run.invoker": ["run.routes.invoke"],
    "roles/run.viewer": ["run.services.get"],
    "roles/secretmanager.secretAccessor": ["secretmanager.versions.access"],
    "roles/telemetry.tracesWriter": ["telemetry.traces.write"],
    "roles/storage.objectViewer": ["storage.objects.get", "storage.objects.list"],
    "roles/storage.legacyObjectReader": ["storage.objects.get"],
    "roles/storage.objectAdmin": ["storage.objects.create", "storage.objects.get"],
    "roles/storage.objectCreator": ["storage.objects.create"],
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": [
        "cloudkms.cryptoKeyVersions.useToDecrypt",
        "cloudkms.cryptoKeyVersions.useToEncrypt",
    ],
}


def agent(kind: str) -> str:
    """Give one of Google's own accounts, as policies spell it."""
    return f"serviceAccount:service-{NUMBER}@{kind}.iam.gserviceaccount.com"


def member(email: str) -> str:
    """Give one of the deployment's accounts, as policies spell it."""
    return f"serviceAccount:{email}"


def binding(role: str, *members: str, condition: str = "") -> dict[str, Any]:
    """Give one binding of a policy."""
    found: dict[str, Any] = {"role": role, "members": list(members)}
    return found | ({"condition": {"title": "t", "expression": condition}} if condition else {})


@dataclass
class State:
    """What the APIs say.

    Attributes:
        answers: by host and path: an object; bytes; or a status, answered to whoever asks.
        models: what is served, by location.
        cheaper: whether they are served in the cheaper lane.
        clock_ahead_seconds: of the services' clock.
        silent: hosts that never answer.
        rubbish: hosts that answer what is no JSON.
        spoilt: hosts that answer JSON of another shape.
    """

    answers: dict[str, Any]
    models: dict[str, set[str]] = field(default_factory=lambda: {"global": {DEFAULT_MODEL}})
    cheaper: bool = True
    clock_ahead_seconds: float = 0.0
    silent: set[str] = field(default_factory=set)
    rubbish: set[str] = field(default_factory=set)
    spoilt: set[str] = field(default_factory=set)

    @property
    def function(self) -> dict[str, Any]:
        """The one function."""
        found: dict[str, Any] = self.answers[FUNCTIONS]["functions"][0]
        return found

    @property
    def environment(self) -> dict[str, str]:
        """The function's variables."""
        found: dict[str, str] = self.function["serviceConfig"]["environmentVariables"]
        return found

    def enabled(self, service: str) -> bool:
        """Tell whether an API is enabled."""
        if not isinstance(self.answers[SERVICES], dict):
            return True
        listed = self.answers[SERVICES]["services"]
        return any(one["config"]["name"] == service for one in listed)

    def policy(self, address: str) -> list[dict[str, Any]]:
        """Give the bindings at an address."""
        found: list[dict[str, Any]] = self.answers[address]["bindings"]
        return found

    def ungrant(self, address: str, role: str, whom: str) -> None:
        """Take a role away."""
        policy = self.policy(address)
        (found,) = (one for one in policy if one["role"] == role and whom in one["members"])
        found["members"].remove(whom)
        if not found["members"]:
            policy.remove(found)

    def disable(self, service: str) -> None:
        """Disable an API."""
        listed = self.answers[SERVICES]["services"]
        listed[:] = [one for one in listed if one["config"]["name"] != service]


ENVIRONMENT = {
    "GOOGLE_CLOUD_PROJECT": PROJECT,
    "MODEL": DEFAULT_MODEL,
    "MODEL_LOCATION": "global",
    "BUCKETS": f"{MORE},{IMAGES}",
    "FIRESTORE_DATABASE": "(default)",
    "FIRESTORE_COLLECTION": "descriptions",
    "STREAM_TIMEOUT_SECONDS": "240",
    "CHUNK_TIMEOUT_SECONDS": "45",
    "LEASE_SECONDS": "60",
}
ENABLED = (
    "aiplatform artifactregistry bigquery cloudbuild cloudfunctions cloudtasks eventarc "
    "firebaserules firestore iam logging monitoring pubsub run storage"
)
UNINDEXED = (
    "description descriptions partialText textInImage status.message status.startTime "
    "status.firstTextTime status.refusedSince status.updateTime status.completeTime "
    "lease.expireTime"
)
RULES_TEXT = """rules_version = '2';

service cloud.firestore {
  match /databases/{database}/documents {
    match /descriptions/{record} {
      allow read: if request.auth != null;
      // The function writes with its service account, which no rule stops.
      allow write: if false;
    }
  }
}
"""


@functools.cache
def archive() -> bytes:
    """Pack what Terraform would deploy from this tree."""
    packed = io.BytesIO()
    names = ["main.py", "requirements.txt"]
    names += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "describer").rglob("*.py"))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name in names:
            zipped.write(ROOT / name, name)
    return packed.getvalue()


def sound() -> State:
    """Give what the APIs say of a deployment with a further bucket in `eu` and a queue."""
    state = State(_usual())
    state.answers |= {f"{ROLES}/{name}": {"name": name, "includedPermissions": allowed}
                      for name, allowed in PREDEFINED.items()}  # fmt: skip
    return state


def _usual() -> dict[str, Any]:
    return {
        PROJECT_AT: {
            "projectNumber": NUMBER,
            "projectId": PROJECT,
            "lifecycleState": "ACTIVE",
            "name": "Test",
        },
        BILLING: {"projectId": PROJECT, "billingEnabled": True},
        SERVICES: {
            "services": [
                {
                    "name": f"projects/{NUMBER}/services/{name}.googleapis.com",
                    "config": {"name": f"{name}.googleapis.com"},
                    "state": "ENABLED",
                }
                for name in ENABLED.split()
            ]
        },
        POLICY: {"version": 3, "etag": "BwYk", "bindings": _project_bindings()},
        FUNCTIONS: {"functions": [_function(), {**_function(), "name": f"{FUNCTION}-2"}]},
        SERVICE: {
            "name": SERVICE.partition("/v2/")[2],
            "latestCreatedRevision": REVISION,
            "latestReadyRevision": REVISION,
            "traffic": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}],
            "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        },
        f"{SERVICE}:getIamPolicy": {"bindings": [binding("roles/run.invoker", member(TRIGGER))]},
        **{
            f"{ACCOUNTS}/{email.replace('@', '%40')}": {"email": email, "projectId": PROJECT}
            for email in (RUN, TRIGGER, BUILD)
        },
        f"{ACCOUNTS}/{TRIGGER.replace('@', '%40')}:getIamPolicy": {
            "bindings": [
                binding("roles/iam.serviceAccountOpenIdTokenCreator", agent("gcp-sa-pubsub"))
            ]
        },
        f"artifactregistry.googleapis.com/v1/{REPOSITORY}:getIamPolicy": {
            "bindings": [binding("roles/artifactregistry.writer", member(BUILD))]
        },
        f"{ROLES}/{PREDICT}": {
            "name": PREDICT,
            "includedPermissions": ["aiplatform.endpoints.predict"],
        },
        f"{ROLES}/{RECORDS}": {
            "name": RECORDS,
            "includedPermissions": [
                f"datastore.entities.{verb}" for verb in ("create", "get", "update")
            ],
        },
        **_bucket(IMAGES, "US-CENTRAL1"),
        **_bucket(MORE, "EU"),
        f"{BUCKETS}/{SOURCE}/iam": {
            "bindings": [binding("roles/storage.objectViewer", member(BUILD))]
        },
        f"{BUCKETS}/{SOURCE}/o/source-1234.zip": archive(),
        DATABASE: {
            "name": DATABASE.partition("/v1/")[2],
            "type": "FIRESTORE_NATIVE",
            "locationId": REGION,
        },
        FIELDS: {
            "fields": [
                {
                    "name": f"{FIELDS.partition('/v1/')[2]}/{name}",
                    "indexConfig": {"ancestorField": "projects/p/databases/d"},
                }
                for name in UNINDEXED.split()
            ]
        },
        RELEASE: {"name": RELEASE.partition("/v1/")[2], "rulesetName": RULESET},
        RULES: {
            "name": RULESET,
            "source": {"files": [{"name": "firestore.rules", "content": RULES_TEXT}]},
        },
        QUEUE: {"name": QUEUE.partition("/v2/")[2], "state": "RUNNING"},
        f"{TRIGGERS}/{REGION}/triggers": {
            "triggers": [
                _trigger(OWN_TRIGGER, IMAGES, OWN_SUBSCRIPTION, {"cloudFunction": FUNCTION})
            ]
        },
        f"{TRIGGERS}/eu/triggers": {
            "triggers": [
                _trigger(
                    FURTHER_TRIGGER,
                    MORE,
                    FURTHER_SUBSCRIPTION,
                    {"cloudRun": {"service": "describer", "region": REGION}},
                )
            ]
        },
        **_subscription(OWN_SUBSCRIPTION, 600),
        **_subscription(FURTHER_SUBSCRIPTION, 10),
        SERIES: {
            "timeSeries": [
                {
                    "metric": {
                        "type": "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
                    },
                    "resource": {
                        "type": "pubsub_subscription",
                        "labels": {"subscription_id": name.rpartition("/")[2]},
                    },
                    "points": [{"value": {"int64Value": "12"}}, {"value": {"int64Value": "9000"}}],
                }
                for name in (OWN_SUBSCRIPTION, FURTHER_SUBSCRIPTION)
            ]
        },
    }


def _project_bindings() -> list[dict[str, Any]]:
    copies = f"projects/_/buckets/gcf-v2-sources-{NUMBER}-{REGION}"
    return [
        binding("roles/owner", "user:ada@example.com"),
        binding("roles/pubsub.publisher", agent("gs-project-accounts")),
        binding("roles/eventarc.serviceAgent", agent("gcp-sa-eventarc")),
        binding("roles/cloudtasks.serviceAgent", agent("gcp-sa-cloudtasks")),
        binding("roles/eventarc.eventReceiver", member(TRIGGER)),
        binding("roles/logging.logWriter", member(BUILD)),
        binding(PREDICT, member(RUN)),
        binding(
            RECORDS,
            member(RUN),
            condition=f'resource.name == "projects/{PROJECT}/databases/(default)"',
        ),
        binding(
            "roles/storage.objectViewer",
            member(BUILD),
            condition=f'resource.name == "{copies}" || '
            f'resource.name.startsWith("{copies}/objects/describer/")',
        ),
    ]


def _function() -> dict[str, Any]:
    return {
        "name": FUNCTION,
        "environment": "GEN_2",
        "state": "ACTIVE",
        "updateTime": datetime.now(UTC).isoformat(),
        "buildConfig": {
            "runtime": "python313",
            "entryPoint": "describe_image",
            "dockerRepository": REPOSITORY,
            "serviceAccount": f"projects/{PROJECT}/serviceAccounts/{BUILD}",
            "source": {"storageSource": {"bucket": SOURCE, "object": "source-1234.zip"}},
        },
        "serviceConfig": {
            "service": SERVICE.partition("/v2/")[2],
            "serviceAccountEmail": RUN,
            "timeoutSeconds": 360,
            "availableMemory": "512Mi",
            "ingressSettings": "ALLOW_INTERNAL_ONLY",
            "uri": URI,
            "allTrafficOnLatestRevision": True,
            "environmentVariables": dict(ENVIRONMENT),
        },
        "eventTrigger": {
            "trigger": OWN_TRIGGER,
            "triggerRegion": REGION,
            "eventType": "google.cloud.storage.object.v1.finalized",
            "eventFilters": [{"attribute": "bucket", "value": IMAGES}],
            "serviceAccountEmail": TRIGGER,
            "retryPolicy": "RETRY_POLICY_RETRY",
        },
    }


def _bucket(name: str, location: str) -> dict[str, Any]:
    viewer = "roles/storage.objectViewer"
    return {
        f"{BUCKETS}/{name}": {"name": name, "location": location, "projectNumber": NUMBER},
        f"{BUCKETS}/{name}/iam": {
            "bindings": [
                binding("roles/storage.legacyBucketOwner", f"projectOwner:{PROJECT}"),
                binding(viewer, member(RUN), agent("gcp-sa-aiplatform")),
            ]
        },
    }


def _trigger(name: str, bucket: str, subscription: str, to: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "eventFilters": [
            {"attribute": "type", "value": "google.cloud.storage.object.v1.finalized"},
            {"attribute": "bucket", "value": bucket},
        ],
        "serviceAccount": TRIGGER,
        "destination": to,
        "transport": {"pubsub": {"topic": "projects/p/topics/t", "subscription": subscription}},
    }


def _subscription(name: str, seconds: int) -> dict[str, Any]:
    return {
        f"{PUBSUB}/{name}": {
            "name": name,
            "topic": f"projects/{PROJECT}/topics/eventarc-topic",
            "pushConfig": {
                "pushEndpoint": f"{URI}?__GCP_CloudEventsMode=GCS",
                "oidcToken": {"serviceAccountEmail": TRIGGER},
            },
            "ackDeadlineSeconds": seconds,
            "messageRetentionDuration": "86400s",
            "state": "ACTIVE",
        }
    }
