locals {
  source_dir = "${path.module}/../.."
  # All that is deployed. Tests, docs, local tools and Terraform stay out, so that only a change of
  # the program itself deploys it anew.
  source_files = concat(
    ["main.py", "requirements.txt"],
    sort(fileset(local.source_dir, "describer/**/*.py")),
  )

  # Of the files, not of the archive made of them: known while planning even where Terraform puts off
  # making it (`depends_on` a module whose dependency changes), and the same with any archiver.
  source_digest = sha256(join("\n", [
    for name in local.source_files : "${name} ${filesha256("${local.source_dir}/${name}")}"
  ]))
  # Terraform's own folder: there after `init`, and ignored by version control.
  source_archive = "${path.root}/.terraform/${local.bucket_prefix}-source.zip"

  # Every setting, whether or not it differs from the program's own default, so that the deployed
  # configuration can be read off the function. Optional ones that are not set stay out.
  environment = { for name, value in {
    GOOGLE_CLOUD_PROJECT   = var.google_cloud_project
    MODEL                  = var.model == null ? "google/gemini-3.5-flash-lite" : var.model
    MODELS                 = length(var.models) == 0 ? null : join(",", var.models)
    FALLBACK_AFTER_SECONDS = tostring(var.fallback_after_seconds)
    MODEL_LOCATION         = var.model_location
    OPENAI_BASE_URL        = var.openai_base_url
    MODEL_SERVER           = var.model_server
    IMAGE_INPUT            = var.image_input
    IMAGE_DETAIL           = var.image_detail
    FIRESTORE_DATABASE     = var.firestore_database
    FIRESTORE_COLLECTION   = var.firestore_collection
    PROMPT                 = var.prompt
    DESCRIPTION_LANGUAGE   = var.description_language
    MAX_OUTPUT_TOKENS      = tostring(var.max_output_tokens)
    REASONING_EFFORT       = var.reasoning_effort
    OUTPUTS                = length(var.outputs) == 0 ? null : join(",", var.outputs)
    TAGS                   = length(var.tags) == 0 ? null : join(",", var.tags)
    USE_METADATA           = length(var.use_metadata) == 0 ? null : join(",", var.use_metadata)
    ALT_TEXT_CHARACTERS    = tostring(var.alt_text_characters)
    PROFILES               = length(var.profiles) == 0 ? null : jsonencode(local.profiles)
    REUSE                  = var.reuse ? "true" : null
    DAILY_LIMIT            = var.daily_limit == null ? null : tostring(var.daily_limit)
    DELETE_RECORDS         = var.delete_records ? "true" : null
    EVENTS_TOPIC           = var.events_topic
    BUCKETS                = join(",", sort(keys(local.images)))
    NAME_INCLUDE           = length(var.name_include) == 0 ? null : join(",", var.name_include)
    NAME_EXCLUDE           = length(var.name_exclude) == 0 ? null : join(",", var.name_exclude)
    MAX_IMAGE_BYTES        = tostring(var.max_image_bytes)
    MAX_IMAGE_PIXELS       = tostring(var.max_image_pixels)
    MAX_IMAGE_SIDE         = tostring(var.max_image_side)
    FLUSH_SECONDS          = tostring(var.flush_seconds)
    STREAM_TIMEOUT_SECONDS = tostring(var.stream_timeout_seconds)
    CHUNK_TIMEOUT_SECONDS  = tostring(var.chunk_timeout_seconds)
    LEASE_SECONDS          = tostring(var.lease_seconds)
    MAX_ATTEMPTS           = tostring(var.max_attempts)
    MAX_EVENT_AGE_SECONDS  = tostring(var.max_event_age_seconds)
    LOG_LEVEL              = var.log_level
    TRACES_ENDPOINT        = var.traces_endpoint
    TRACES_RATIO           = var.traces_endpoint == null ? null : tostring(var.traces_ratio)
  } : name => value if value != null }

  # Without the attributes that a profile leaves alone.
  profiles = [for profile in var.profiles : { for key, value in profile : key => value if value != null }]
}

data "archive_file" "source" {
  type        = "zip"
  output_path = local.source_archive

  dynamic "source" {
    for_each = local.source_files
    content {
      filename = source.value
      content  = file("${local.source_dir}/${source.value}")
    }
  }
}

resource "google_storage_bucket_object" "source" {
  bucket = google_storage_bucket.source.name
  # Named by its content: the same program never deploys twice, another one always does.
  name   = "source-${local.source_digest}.zip"
  source = local.source_archive

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [data.archive_file.source]
}

# Of our own, so that the build account may write here and nowhere else.
resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:A customer-managed key is optional (`kms_keys`); data is encrypted with Google's otherwise.
  project       = var.google_cloud_project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Container images of the function ${var.name}, made by its builds."
  kms_key_name  = var.kms_keys.function
  labels        = var.labels

  cleanup_policies {
    id     = "keep-last"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s"
    }
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

resource "google_cloudfunctions2_function" "describe" {
  project     = var.google_cloud_project
  location    = var.region
  name        = var.name
  description = "Describes each image uploaded to ${join(", ", sort(keys(local.images)))} and records it in Firestore."
  labels      = var.labels

  kms_key_name = var.kms_keys.function

  build_config {
    runtime           = var.runtime
    entry_point       = "describe_image"
    docker_repository = google_artifact_registry_repository.images.id
    service_account   = google_service_account.build.name
    worker_pool       = var.worker_pool

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.run.email
    timeout_seconds                  = var.timeout_seconds
    available_memory                 = var.available_memory
    available_cpu                    = var.available_cpu
    max_instance_request_concurrency = var.concurrency
    min_instance_count               = var.min_instances
    max_instance_count               = var.max_instances
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision   = true
    environment_variables            = local.environment

    dynamic "secret_environment_variables" {
      for_each = var.openai_api_key == null ? [] : [var.openai_api_key]
      iterator = secret
      content {
        key        = "OPENAI_API_KEY"
        project_id = coalesce(secret.value.project, var.google_cloud_project)
        secret     = secret.value.secret
        version    = secret.value.version
      }
    }

    vpc_connector                 = var.vpc.connector
    vpc_connector_egress_settings = var.vpc.connector == null ? null : var.vpc.egress

    # The same choice by another name, where the network is reached without a connector.
    direct_vpc_egress = var.vpc.network == null ? null : "VPC_EGRESS_${var.vpc.egress}"
    dynamic "direct_vpc_network_interface" {
      for_each = var.vpc.network == null ? [] : [var.vpc]
      iterator = vpc
      content {
        network    = vpc.value.network
        subnetwork = vpc.value.subnetwork
        tags       = vpc.value.tags
      }
    }
  }

  event_trigger {
    event_type            = "google.cloud.storage.object.v1.finalized"
    trigger_region        = local.bucket_locations[local.primary_bucket]
    service_account_email = google_service_account.trigger.email
    # The platform's default is to drop an event that failed once.
    # https://cloud.google.com/functions/docs/bestpractices/retries
    retry_policy = "RETRY_POLICY_RETRY"

    event_filters {
      attribute = "bucket"
      value     = local.primary_bucket
    }
  }

  depends_on = [time_sleep.permissions]
}
