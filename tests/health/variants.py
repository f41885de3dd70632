"""Sound deployments that differ from the one in `sound.py`."""

import base64
import json

from describer.settings import DEFAULT_MODEL
from tests.health.sound import (
    ACCOUNTS,
    BUCKETS,
    BUILD,
    DATABASE,
    FIELDS,
    FUNCTION,
    FUNCTIONS,
    FURTHER_SUBSCRIPTION,
    IMAGES,
    MORE,
    OWN_SUBSCRIPTION,
    POLICY,
    PREDICT,
    PROJECT,
    PUBSUB,
    QUEUE,
    RECORDS,
    REGION,
    RELEASE,
    ROLES,
    RUN,
    SERVICE,
    SERVICES,
    TRIGGER,
    TRIGGERS,
    URI,
    State,
    agent,
    binding,
    member,
    sound,
)

VIEWER = "roles/storage.objectViewer"
SIGNER = "roles/iam.serviceAccountOpenIdTokenCreator"
OWN_SUB, FURTHER_SUB = f"{PUBSUB}/{OWN_SUBSCRIPTION}", f"{PUBSUB}/{FURTHER_SUBSCRIPTION}"
OWN_TRIGGERS, FURTHER_TRIGGERS = (f"{TRIGGERS}/{at}/triggers" for at in (REGION, "eu"))
SECRET = f"secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets/model-key:getIamPolicy"
KEYS = "cloudkms.googleapis.com/v1/projects/k/locations/l/keyRings/r/cryptoKeys/"
ENCRYPT = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
TRIGGER_POLICY = f"{ACCOUNTS}/{TRIGGER.replace('@', '%40')}:getIamPolicy"
JOB_NAME = f"projects/{PROJECT}/locations/{REGION}/jobs/describer-reconcile"
JOB = f"cloudscheduler.googleapis.com/v1/{JOB_NAME}"
TOPIC = f"{PUBSUB}/projects/{PROJECT}/topics/descriptions"
GALLERY = f"describer-gallery@{PROJECT}.iam.gserviceaccount.com"
GALLERY_ACCOUNT = f"{ACCOUNTS}/{GALLERY.replace('@', '%40')}"
GALLERY_SERVICE_POLICY = f"{SERVICE}-gallery:getIamPolicy"
SIGN_IN = f"identitytoolkit.googleapis.com/admin/v2/projects/{PROJECT}/config"
TOKEN_CREATOR = "roles/iam.serviceAccountTokenCreator"
OBJECT_READER, OBJECT_CREATOR = "roles/storage.legacyObjectReader", "roles/storage.objectCreator"


def enable(state: State, service: str) -> None:
    """Enable an API."""
    state.answers[SERVICES]["services"].append({"config": {"name": service}, "state": "ENABLED"})


def without_more(state: State) -> None:
    """One bucket, no queue, nobody to sign for it: what Terraform makes by default."""
    state.environment["BUCKETS"] = IMAGES
    for part in (f"{BUCKETS}/{MORE}", FURTHER_TRIGGERS, QUEUE, FURTHER_SUB):
        for address in [one for one in state.answers if one.startswith(part)]:
            del state.answers[address]
    state.disable("cloudtasks.googleapis.com")
    state.ungrant(POLICY, "roles/cloudtasks.serviceAgent", agent("gcp-sa-cloudtasks"))


def another_model(state: State) -> None:
    """A server of one's own, whose key is a secret; no Vertex AI at all."""
    state.environment.update(OPENAI_BASE_URL="http://127.0.0.1:9/v1", MODEL="own")
    state.function["serviceConfig"]["secretEnvironmentVariables"] = [
        {"key": "OPENAI_API_KEY", "projectId": PROJECT, "secret": "model-key", "version": "latest"}
    ]
    state.answers[SECRET] = {
        "bindings": [binding("roles/secretmanager.secretAccessor", member(RUN))]
    }
    state.disable("aiplatform.googleapis.com")
    enable(state, "secretmanager.googleapis.com")
    state.ungrant(POLICY, PREDICT, member(RUN))
    del state.answers[f"{ROLES}/{PREDICT}"]


def own_keys(state: State) -> None:
    """A key each for function, buckets and database."""
    enable(state, "cloudkms.googleapis.com")
    keys = {
        use: f"projects/k/locations/l/keyRings/r/cryptoKeys/{use}"
        for use in ("function", "bucket", "database")
    }
    state.function["kmsKeyName"] = keys["function"]
    without_more(state)
    state.answers[f"{BUCKETS}/{IMAGES}"]["encryption"] = {"defaultKmsKeyName": keys["bucket"]}
    for service, kind in {
        "artifactregistry": "gcp-sa-artifactregistry",
        "cloudfunctions": "gcf-admin-robot",
        "run": "serverless-robot-prod",
    }.items():
        state.policy(POLICY).append(binding(f"roles/{service}.serviceAgent", agent(kind)))
    state.answers[DATABASE]["cmekConfig"] = {"kmsKeyName": keys["database"]}
    kinds = {
        "function": "artifactregistry eventarc storage",
        "bucket": "storage",
        "database": "firestore",
    }
    for use, agents in kinds.items():
        spelt = [
            agent("gs-project-accounts" if one == "storage" else f"gcp-sa-{one}")
            for one in agents.split()
        ]
        more = [agent("gcf-admin-robot"), agent("serverless-robot-prod")]
        members = spelt + (more if use == "function" else [])
        state.answers[f"{KEYS}{use}:getIamPolicy"] = {"bindings": [binding(ENCRYPT, *members)]}
    (copied,) = (one for one in state.policy(POLICY) if one["role"] == VIEWER)
    copies = copied["condition"]["expression"].partition('"')[2].partition('"')[0]
    copied["condition"]["expression"] = (
        f'resource.name.startsWith("{copies}-") && '
        '(resource.type == "storage.googleapis.com/Bucket" || '
        'resource.name.extract("/objects/{object}").startsWith("describer/"))'
    )


def broader_roles(state: State) -> None:
    """Other roles that hold the same permissions, on the project."""
    state.ungrant(TRIGGER_POLICY, SIGNER, agent("gcp-sa-pubsub"))
    state.policy(POLICY).append(binding("roles/pubsub.serviceAgent", agent("gcp-sa-pubsub")))
    state.ungrant(POLICY, "roles/logging.logWriter", member(BUILD))
    state.policy(POLICY).append(binding("roles/editor", member(BUILD)))


def reuse(state: State) -> None:
    """Texts are reused, for which records are listed."""
    state.environment["REUSE"] = "true"
    listing(state)


def removals(state: State) -> None:
    """Records go with their objects: two more triggers for each bucket, one more permission."""
    state.environment["DELETE_RECORDS"] = "true"
    state.answers[f"{ROLES}/{RECORDS}"]["includedPermissions"].append("datastore.entities.delete")
    for address in (OWN_TRIGGERS, FURTHER_TRIGGERS):
        if address not in state.answers:
            continue
        listed = state.answers[address]["triggers"]
        for event in ("archived", "deleted"):
            copy = json.loads(json.dumps(listed[0]))
            copy["name"] += f"-{event}"
            copy["eventFilters"][0]["value"] = f"google.cloud.storage.object.v1.{event}"
            copy["destination"] = {"cloudRun": {"service": "describer", "region": REGION}}
            name = f"projects/{PROJECT}/subscriptions/{copy['name'].rpartition('/')[2]}-sub"
            copy["transport"]["pubsub"]["subscription"] = name
            listed.append(copy)
            own = state.answers[OWN_SUB]
            state.answers[f"{PUBSUB}/{name}"] = {**own, "name": name, "ackDeadlineSeconds": 10}


def traces(state: State) -> None:
    """To Cloud Trace."""
    state.environment["TRACES_ENDPOINT"] = "https://telemetry.googleapis.com/v1/traces"
    enable(state, "cloudtrace.googleapis.com")
    enable(state, "telemetry.googleapis.com")
    state.policy(POLICY).append(binding("roles/telemetry.tracesWriter", member(RUN)))


def another_database(state: State) -> None:
    """A database that has a name, and rules of its own."""
    state.environment["FIRESTORE_DATABASE"] = "pictures"
    for address in [one for one in state.answers if one.startswith(DATABASE)]:
        state.answers[address.replace("(default)", "pictures")] = state.answers.pop(address)
    state.answers[f"{RELEASE}/pictures"] = state.answers.pop(RELEASE)
    (records,) = (one for one in state.policy(POLICY) if one["role"] == RECORDS)
    condition = records["condition"]
    condition["expression"] = condition["expression"].replace("(default)", "pictures")


def listing(state: State) -> None:
    """Let records be listed, as whatever asks for several needs."""
    allowed = state.answers[f"{ROLES}/{RECORDS}"]["includedPermissions"]
    if "datastore.entities.list" not in allowed:
        allowed.append("datastore.entities.list")


def schedule(state: State) -> None:
    """The function is asked each night to look for what was lost."""
    enable(state, "cloudscheduler.googleapis.com")
    listing(state)
    state.policy(TRIGGER_POLICY).append(binding(SIGNER, agent("gcp-sa-cloudscheduler")))
    state.answers[JOB] = {
        "name": JOB_NAME,
        "schedule": "17 3 * * *",
        "timeZone": "Etc/UTC",
        "state": "ENABLED",
        "status": {},
        "lastAttemptTime": "2026-11-26T03:17:00.412345Z",
        "attemptDeadline": "360s",
        "httpTarget": {
            "uri": f"{URI}/",
            "httpMethod": "POST",
            "headers": {
                "User-Agent": "Google-Cloud-Scheduler",
                "Content-Type": "application/json",
                "ce-id": "reconcile",
                "ce-source": f"//{JOB.replace('/v1', '')}",
                "ce-specversion": "1.0",
                "ce-type": "describer.reconcile.v1.requested",
            },
            "body": base64.b64encode(b'{"days":3,"minutes":60}').decode(),
            "oidcToken": {"serviceAccountEmail": TRIGGER, "audience": URI},
        },
    }


def announced(state: State) -> None:
    """Each record is told to a topic."""
    state.environment["EVENTS_TOPIC"] = "descriptions"
    state.answers[TOPIC] = {"name": TOPIC.partition("/v1/")[2]}
    state.answers[f"{TOPIC}:getIamPolicy"] = {
        "bindings": [binding("roles/pubsub.publisher", member(RUN))]
    }


def gallery(state: State) -> None:
    """A gallery whose readers sign in, and from which some upload."""
    buckets = [IMAGES, *([MORE] if f"{BUCKETS}/{MORE}" in state.answers else [])]
    for service in ("apikeys", "iamcredentials", "identitytoolkit", "securetoken"):
        enable(state, f"{service}.googleapis.com")
    own = state.function
    state.answers[FUNCTIONS]["functions"].append(
        {
            **own,
            "name": f"{FUNCTION}-gallery",
            "buildConfig": {**own["buildConfig"], "entryPoint": "serve_gallery"},
            "serviceConfig": {
                "service": own["serviceConfig"]["service"] + "-gallery",
                "serviceAccountEmail": GALLERY,
                "timeoutSeconds": 60,
                "ingressSettings": "ALLOW_ALL",
                "environmentVariables": {
                    "GOOGLE_CLOUD_PROJECT": PROJECT,
                    "FIRESTORE_DATABASE": "(default)",
                    "FIRESTORE_COLLECTION": "descriptions",
                    "BUCKETS": ",".join(buckets),
                    "READERS": "signed_in",
                    "WRITERS": "ada@example.com",
                    "SERVICE_ACCOUNT": GALLERY,
                    "API_KEY": "key",
                    "MAX_UPLOAD_BYTES": "104857600",
                    "PRICES": f'{{"input":0.3,"model":"{DEFAULT_MODEL}","output":2.5}}',
                    "THREADS": "40",
                },
            },
            "eventTrigger": None,
        }
    )
    state.answers |= {
        GALLERY_ACCOUNT: {"email": GALLERY, "projectId": PROJECT},
        f"{GALLERY_ACCOUNT}:getIamPolicy": {"bindings": [binding(TOKEN_CREATOR, member(GALLERY))]},
        GALLERY_SERVICE_POLICY: {"bindings": [binding("roles/run.invoker", "allUsers")]},
        SIGN_IN: {
            "name": f"projects/{PROJECT}/config",
            "signIn": {"email": {"enabled": True, "passwordRequired": True}},
            "client": {"permissions": {"disabledUserSignup": True, "disabledUserDeletion": True}},
        },
    }
    for bucket in buckets:
        state.policy(f"{BUCKETS}/{bucket}/iam").append(binding(OBJECT_READER, member(GALLERY)))
    state.policy(f"{BUCKETS}/{IMAGES}/iam").append(binding(OBJECT_CREATOR, member(GALLERY)))
    (begun,) = (
        one for one in state.answers[FIELDS]["fields"] if one["name"].endswith("/status.startTime")
    )
    begun["indexConfig"]["indexes"] = [
        {
            "queryScope": "COLLECTION",
            "fields": [{"fieldPath": "status.startTime", "order": "DESCENDING"}],
            "state": "READY",
        }
    ]
    (copied,) = (one for one in state.policy(POLICY) if one["role"] == VIEWER)
    expression = copied["condition"]["expression"].replace('describer/"', 'describer-gallery/"')
    state.policy(POLICY).append(binding(VIEWER, member(BUILD), condition=expression))


def public_gallery(state: State) -> None:
    """A gallery that nobody signs in to."""
    gallery(state)
    gallery_environment(state).update(READERS="public", WRITERS="")
    state.ungrant(f"{BUCKETS}/{IMAGES}/iam", OBJECT_CREATOR, member(GALLERY))
    del state.answers[SIGN_IN]
    for service in ("identitytoolkit", "securetoken"):
        state.disable(f"{service}.googleapis.com")


def gallery_environment(state: State) -> dict[str, str]:
    """Give the gallery's variables."""
    functions = state.answers[FUNCTIONS]["functions"]
    found: dict[str, str] = functions[-1]["serviceConfig"]["environmentVariables"]
    return found


def with_all() -> State:
    """Give what the APIs say of a deployment with schedule, topic and gallery."""
    state = sound()
    for change in (schedule, announced, gallery):
        change(state)
    return state
