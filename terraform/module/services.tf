locals {
  on_vertex = var.openai_base_url == null
  # Cloud Trace takes traces at an API of its own.
  cloud_trace = startswith(var.traces_endpoint == null ? "" : var.traces_endpoint, "https://telemetry.googleapis.com/")
  use_cmek    = anytrue([for key in values(var.kms_keys) : key != null])

  services = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudfunctions.googleapis.com",
      "eventarc.googleapis.com",
      "firebaserules.googleapis.com",
      "firestore.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
    ],
    local.on_vertex ? ["aiplatform.googleapis.com"] : [],
    var.openai_api_key == null ? [] : ["secretmanager.googleapis.com"],
    local.use_cmek ? ["cloudkms.googleapis.com"] : [],
    var.vpc.network == null ? [] : ["compute.googleapis.com"],
    var.vpc.connector == null ? [] : ["vpcaccess.googleapis.com"],
    var.budget == null ? [] : ["billingbudgets.googleapis.com"],
    var.backfill_queue == null ? [] : ["cloudtasks.googleapis.com"],
    local.cloud_trace ? ["cloudtrace.googleapis.com", "telemetry.googleapis.com"] : [],
    var.enable_gallery ? ["apikeys.googleapis.com", "iamcredentials.googleapis.com"] : [],
    local.gallery_signs_in ? ["identitytoolkit.googleapis.com", "securetoken.googleapis.com"] : [],
    var.reconcile == null ? [] : ["cloudscheduler.googleapis.com"],
  ))

  # Service agents that must exist before a role or a key can be given to them. A fresh project has
  # none of them until first use, and first use is too late.
  agents = merge(
    { eventarc = "eventarc.googleapis.com", pubsub = "pubsub.googleapis.com" },
    local.on_vertex ? { aiplatform = "aiplatform.googleapis.com" } : {},
    var.kms_keys.function == null ? {} : {
      artifactregistry = "artifactregistry.googleapis.com"
      cloudfunctions   = "cloudfunctions.googleapis.com"
      run              = "run.googleapis.com"
    },
    var.kms_keys.database == null ? {} : { firestore = "firestore.googleapis.com" },
    var.reconcile == null ? {} : { cloudscheduler = "cloudscheduler.googleapis.com" },
  )
}

locals {
  # Read off an agent's address, and so from the state, not off a data source: whose caller says
  # `depends_on` puts off every data source until apply whenever that dependency changes, and what is not
  # known while planning replaces each role that names it.
  # https://cloud.google.com/iam/docs/service-agents
  # https://developer.hashicorp.com/terraform/language/data-sources#dependencies
  project_number = regex("^service-([0-9]+)@", google_project_service_identity.agents["eventarc"].email)[0]
  storage_agent  = "serviceAccount:service-${local.project_number}@gs-project-accounts.iam.gserviceaccount.com"
}

resource "google_project_service" "this" {
  for_each = local.services

  project            = var.google_cloud_project
  service            = each.key
  disable_on_destroy = false
}

# Alone, so that enabling another service later does not put off reading the storage agent below.
resource "google_project_service" "storage" {
  project            = var.google_cloud_project
  service            = "storage.googleapis.com"
  disable_on_destroy = false
}

# Enabling is eventually consistent.
# https://github.com/hashicorp/terraform-provider-google/blob/main/website/docs/r/google_project_service.html.markdown
resource "time_sleep" "services" {
  create_duration = "60s"
  triggers        = { services = join(",", local.services) }

  depends_on = [google_project_service.this, google_project_service.storage]
}

resource "google_project_service_identity" "agents" {
  provider = google-beta
  for_each = local.agents

  project = var.google_cloud_project
  service = each.value

  depends_on = [time_sleep.services]
}

# A new identity is not found at once by those who grant to it.
# https://cloud.google.com/iam/docs/service-accounts-create#creating
resource "time_sleep" "agents" {
  create_duration = "60s"
  triggers        = { agents = join(",", values(local.agents)) }

  depends_on = [google_project_service_identity.agents]
}

# Read because that creates it.
# https://cloud.google.com/storage/docs/getting-service-agent
data "google_storage_project_service_account" "this" {
  project = var.google_cloud_project

  depends_on = [google_project_service.storage]
}
