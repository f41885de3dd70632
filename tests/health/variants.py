"""Sound deployments that differ from the one in `sound.py`."""

import json

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
    SERVICES,
    TRIGGER,
    TRIGGERS,
    State,
    agent,
    binding,
    member,
)

VIEWER = "roles/storage.objectViewer"
SIGNER = "roles/iam.serviceAccountOpenIdTokenCreator"
OWN_SUB, FURTHER_SUB = f"{PUBSUB}/{OWN_SUBSCRIPTION}", f"{PUBSUB}/{FURTHER_SUBSCRIPTION}"
OWN_TRIGGERS, FURTHER_TRIGGERS = (f"{TRIGGERS}/{at}/triggers" for at in (REGION, "eu"))
SECRET = f"secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets/model-key:getIamPolicy"
KEYS = "cloudkms.googleapis.com/v1/projects/k/locations/l/keyRings/r/cryptoKeys/"
ENCRYPT = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
TRIGGER_POLICY = f"{ACCOUNTS}/{TRIGGER.replace('@', '%40')}:getIamPolicy"


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
    state.answers[f"{ROLES}/{RECORDS}"]["includedPermissions"].append("datastore.entities.list")


def gallery(state: State) -> None:
    """The gallery is there: its function, and the index that its page orders by."""
    copy = {**json.loads(json.dumps(state.function)), "name": f"{FUNCTION}-gallery"}
    state.answers[FUNCTIONS]["functions"].append(copy)
    (field,) = (
        one for one in state.answers[FIELDS]["fields"] if one["name"].endswith("/status.startTime")
    )
    fields = [{"fieldPath": "status.startTime", "order": "DESCENDING"}]
    index = {"queryScope": "COLLECTION", "fields": fields, "state": "READY"}
    field["indexConfig"] = {"indexes": [index]}


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
