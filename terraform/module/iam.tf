# Who may do what, whole, but for the gallery's (gallery.tf). Three accounts, so that none can do another's work: the one that runs
# cannot invoke, the one that invokes can read nothing, the one that builds is gone by then.

resource "google_service_account" "run" {
  project      = var.google_cloud_project
  account_id   = "${var.name}-run"
  display_name = "Describer: runs the function ${var.name}"

  depends_on = [time_sleep.services]
}

resource "google_service_account" "trigger" {
  project      = var.google_cloud_project
  account_id   = "${var.name}-trigger"
  display_name = "Describer: delivers events to the function ${var.name}"

  depends_on = [time_sleep.services]
}

resource "google_service_account" "build" {
  project      = var.google_cloud_project
  account_id   = "${var.name}-build"
  display_name = "Describer: builds the function ${var.name}"

  depends_on = [time_sleep.services]
}

# --- The account that runs ---------------------------------------------------------------------

# Calling a published model asks for this one permission; the narrowest ready-made role with it,
# roles/aiplatform.user, can also create and delete everything that Vertex AI holds.
# https://cloud.google.com/vertex-ai/docs/general/iam-permissions
resource "google_project_iam_custom_role" "predict" {
  count = local.on_vertex ? 1 : 0

  project     = var.google_cloud_project
  role_id     = "${replace(var.name, "-", "_")}_predict"
  title       = "Describer: call a model (${var.name})"
  description = "Calls published models on Vertex AI."
  permissions = ["aiplatform.endpoints.predict"]

  depends_on = [time_sleep.services]
}

resource "google_project_iam_member" "run_predict" {
  count = local.on_vertex ? 1 : 0

  project = var.google_cloud_project
  role    = google_project_iam_custom_role.predict[0].name
  member  = google_service_account.run.member
}

# https://docs.cloud.google.com/iam/docs/roles-permissions/telemetry
resource "google_project_iam_member" "run_traces" {
  count = local.cloud_trace ? 1 : 0

  project = var.google_cloud_project
  role    = "roles/telemetry.tracesWriter"
  member  = google_service_account.run.member
}

# What the record's three operations ask for: batchGet, commit that creates, commit that updates. The day's
# count is created and updated likewise; the queries for a text to reuse, and for what reconcile looks
# after, list; a record that goes with its object is deleted.
# roles/datastore.user could also do both without need.
# https://cloud.google.com/firestore/docs/security/iam#required_permissions
resource "google_project_iam_custom_role" "records" {
  project     = var.google_cloud_project
  role_id     = "${replace(var.name, "-", "_")}_records"
  title       = "Describer: write records (${var.name})"
  description = "What the function does with records in Firestore."
  permissions = concat(
    ["datastore.entities.create", "datastore.entities.get", "datastore.entities.update"],
    var.reuse || var.reconcile != null ? ["datastore.entities.list"] : [],
    var.delete_records ? ["datastore.entities.delete"] : [],
  )

  depends_on = [time_sleep.services]
}

resource "google_project_iam_member" "run_records" {
  project = var.google_cloud_project
  role    = google_project_iam_custom_role.records.name
  member  = google_service_account.run.member

  # Firestore has no policy of its own; a condition narrows the project's to one database.
  # https://cloud.google.com/firestore/docs/manage-databases#configure_per-database_access_permissions
  condition {
    title       = "${var.name}-database"
    description = "The database ${var.firestore_database} only."
    expression  = "resource.name == \"projects/${var.google_cloud_project}/databases/${var.firestore_database}\""
  }
}

# Listing is needed too: without it a deleted object answers 403 instead of 404, and `gone` could not
# be told from a missing role.
# https://cloud.google.com/storage/docs/json_api/v1/status-codes#403-forbidden
resource "google_storage_bucket_iam_member" "run_reads_images" {
  for_each = local.images

  bucket = each.value.create ? google_storage_bucket.images[each.key].name : data.google_storage_bucket.existing[each.key].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.run.member
}

# Vertex AI reads a gs:// image with the caller's rights or its agent's; its page of errors names both.
# Neither that page nor another says that reading one object is all it does with a gs:// image, so this is
# not the narrower roles/storage.legacyObjectReader.
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/reference/models/api-errors
resource "google_storage_bucket_iam_member" "vertex_reads_images" {
  for_each = { for name, bucket in local.images : name => bucket if local.on_vertex && var.image_input != "inline" }

  bucket = each.value.create ? google_storage_bucket.images[each.key].name : data.google_storage_bucket.existing[each.key].name
  role   = "roles/storage.objectViewer"
  member = google_project_service_identity.agents["aiplatform"].member

  depends_on = [time_sleep.agents]
}

# https://cloud.google.com/functions/docs/configuring/secrets#grant_access
resource "google_secret_manager_secret_iam_member" "run_reads_key" {
  count = var.openai_api_key == null ? 0 : 1

  project   = coalesce(var.openai_api_key.project, var.google_cloud_project)
  secret_id = var.openai_api_key.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.run.member

  depends_on = [time_sleep.services]
}

# --- The account that delivers -----------------------------------------------------------------

# Eventarc checks it on the project; there is nothing smaller to grant it on.
# https://cloud.google.com/eventarc/docs/run/create-trigger-storage-gcloud#before-you-begin
resource "google_project_iam_member" "trigger_receives" {
  project = var.google_cloud_project
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.trigger.member
}

# On this one service. Events that come before it takes effect are refused and delivered again.
resource "google_cloud_run_v2_service_iam_member" "trigger_invokes" {
  project  = var.google_cloud_project
  location = google_cloudfunctions2_function.describe.location
  name     = google_cloudfunctions2_function.describe.name
  role     = "roles/run.invoker"
  member   = google_service_account.trigger.member

  # A function made anew has a service made anew, without the old one's policy.
  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.describe.id]
  }
}

# --- The account that builds -------------------------------------------------------------------
# https://cloud.google.com/functions/docs/securing/build-custom-sa

resource "google_project_iam_member" "build_logs" {
  project = var.google_cloud_project
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build_pushes" {
  project    = var.google_cloud_project
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_storage_bucket_iam_member" "build_reads_source" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# The service copies the archive into a bucket of its own, as NAME/function-source.zip, which the build
# then reads. That bucket may not exist yet, so the role stands on the project with a condition, not on
# the bucket. With a customer-managed key the bucket's name ends in that key's hash, which Google does not
# say how to make. Listing, which the role allows too, is asked of the bucket itself.
# https://github.com/hashicorp/terraform-provider-google/issues/20571
# https://cloud.google.com/functions/docs/building
# https://cloud.google.com/iam/docs/conditions-attribute-reference#resource-name
locals {
  copies = "projects/_/buckets/gcf-v2-sources-${local.project_number}-${var.region}"

  # By the function's name.
  copied_sources = { for name in [var.name, local.gallery_name] : name => var.kms_keys.function == null ? join(" || ", [
    "resource.name == \"${local.copies}\"",
    "resource.name.startsWith(\"${local.copies}/objects/${name}/\")",
    ]) : join(" && ", [
    "resource.name.startsWith(\"${local.copies}-\")",
    "(resource.type == \"storage.googleapis.com/Bucket\" || resource.name.extract(\"/objects/{object}\").startsWith(\"${name}/\"))",
  ]) }
}

resource "google_project_iam_member" "build_reads_copied_source" {
  project = var.google_cloud_project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title       = "${var.name}-copied-source"
    description = "What Cloud Run functions copies of this function's source, and the bucket's own name."
    expression  = local.copied_sources[var.name]
  }
}

# --- Google's own agents -----------------------------------------------------------------------

# Storage publishes its events to a topic that Eventarc makes later, so the project is the only place.
# https://cloud.google.com/eventarc/docs/run/create-trigger-storage-gcloud#before-you-begin
resource "google_project_iam_member" "storage_publishes" {
  project = var.google_cloud_project
  role    = "roles/pubsub.publisher"
  member  = local.storage_agent

  depends_on = [data.google_storage_project_service_account.this]
}

# Given on first use, minutes later, or not at all since the agent is made on request; the first apply
# fails without it.
# https://github.com/hashicorp/terraform-provider-google/issues/14584
resource "google_project_iam_member" "eventarc_agent" {
  #checkov:skip=CKV_GCP_49:Google's own agent holds this role in every project that uses Eventarc; it signs the tokens of pushed events.
  project = var.google_cloud_project
  role    = "roles/eventarc.serviceAgent"
  member  = google_project_service_identity.agents["eventarc"].member

  depends_on = [time_sleep.agents]
}

# It signs the token that the push carries. Google gives an agent its roles on first use, not where it was
# made on request, as above: then the events stay in the subscription and nothing says why. On the one
# account, not on the project.
# https://cloud.google.com/iam/docs/create-service-agents
# https://github.com/GoogleCloudPlatform/terraform-genai-doc-summarization/issues/82
resource "google_service_account_iam_member" "pubsub_signs" {
  service_account_id = google_service_account.trigger.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = google_project_service_identity.agents["pubsub"].member

  depends_on = [time_sleep.agents]
}

# It signs the token with which the schedule calls the function, and has no role of itself either.
# https://cloud.google.com/scheduler/docs/http-target-auth
resource "google_service_account_iam_member" "scheduler_signs" {
  count = var.reconcile == null ? 0 : 1

  service_account_id = google_service_account.trigger.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = google_project_service_identity.agents["cloudscheduler"].member

  depends_on = [time_sleep.agents]
}

# The same for those that are made early because a key is to be given to them: without their role they
# could neither pull the image nor deploy it.
# https://cloud.google.com/iam/docs/service-agents
resource "google_project_iam_member" "agents" {
  #checkov:skip=CKV_GCP_49:Google's own agents hold these roles in every project that uses the service.
  for_each = var.kms_keys.function == null ? toset([]) : toset(["artifactregistry", "cloudfunctions", "run"])

  project = var.google_cloud_project
  role    = "roles/${each.key}.serviceAgent"
  member  = google_project_service_identity.agents[each.key].member

  depends_on = [time_sleep.agents]
}

locals {
  # https://cloud.google.com/functions/docs/securing/cmek#grant_service_accounts_access_to_the_key
  key_users = merge(
    var.kms_keys.function == null ? {} : {
      for agent in ["artifactregistry", "cloudfunctions", "eventarc", "run", "storage"] :
      "${var.kms_keys.function} ${agent}" => { key = var.kms_keys.function, agent = agent }
    },
    var.kms_keys.bucket == null ? {} : {
      "${var.kms_keys.bucket} storage" = { key = var.kms_keys.bucket, agent = "storage" }
    },
    var.kms_keys.database == null ? {} : {
      "${var.kms_keys.database} firestore" = { key = var.kms_keys.database, agent = "firestore" }
    },
  )
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = local.key_users

  crypto_key_id = each.value.key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member = (
    each.value.agent == "storage"
    ? local.storage_agent
    : google_project_service_identity.agents[each.value.agent].member
  )

  depends_on = [time_sleep.agents, data.google_storage_project_service_account.this]
}

resource "time_sleep" "keys" {
  count = local.use_cmek ? 1 : 0

  create_duration = "60s"
  triggers        = { users = sha256(join("\n", keys(local.key_users))) }

  depends_on = [google_kms_crypto_key_iam_member.agents]
}

# --- Who deploys -------------------------------------------------------------------------------

locals {
  deployers = { for pair in setproduct(concat(["run", "trigger", "build"], var.enable_gallery ? ["gallery"] : []), var.deployers) :
    "${pair[0]} ${pair[1]}" => { account = pair[0], member = pair[1] }
  }
}

# Deploying a function as an account means acting as it. Whoever owns the project may already.
# https://cloud.google.com/functions/docs/reference/iam/roles#additional-configuration
resource "google_service_account_iam_member" "deployer_acts_as" {
  for_each = local.deployers

  service_account_id = {
    run     = google_service_account.run.name
    trigger = google_service_account.trigger.name
    build   = google_service_account.build.name
    gallery = join("", google_service_account.gallery[*].name)
  }[each.value.account]
  role   = "roles/iam.serviceAccountUser"
  member = each.value.member
}

# Roles take effect within minutes, and the first deployment fails on any that has not: the build's,
# Eventarc's and Storage's.
# https://cloud.google.com/iam/docs/access-change-propagation
resource "time_sleep" "permissions" {
  create_duration = "120s"
  # Also where another function is built later, by the same account under a role of its own.
  triggers = { built = join(",", concat([var.name], var.enable_gallery ? [local.gallery_name] : [])) }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_pushes,
    google_project_iam_member.agents,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_reads_copied_gallery,
    google_project_iam_member.build_reads_copied_source,
    google_project_iam_member.eventarc_agent,
    google_project_iam_member.run_predict,
    google_project_iam_member.run_records,
    google_project_iam_member.storage_publishes,
    google_project_iam_member.trigger_receives,
    google_pubsub_topic_iam_member.run_publishes,
    google_secret_manager_secret_iam_member.run_reads_key,
    google_service_account_iam_member.deployer_acts_as,
    google_service_account_iam_member.pubsub_signs,
    google_storage_bucket_iam_member.build_reads_source,
    google_storage_bucket_iam_member.run_reads_images,
    google_storage_bucket_iam_member.vertex_reads_images,
    google_firestore_database.records,
  ]
}
