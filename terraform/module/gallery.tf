# The gallery in the cloud: a second function that serves the page and signs addresses of pictures, and,
# where somebody signs in, Identity Platform. At rest all of it costs nothing.

locals {
  gallery_name = "${var.name}-gallery"
  # Known before the function is there, which the bucket's CORS asks for.
  # https://cloud.google.com/run/docs/triggering/https-request#deterministic
  gallery_url = "https://${local.gallery_name}-${local.project_number}.${var.region}.run.app"

  gallery_signs_in = var.enable_gallery && (var.readers == "signed_in" || length(var.writers) > 0)
  gallery_uploads  = var.enable_gallery && length(var.writers) > 0

  # Never a guess: the prices that are there unless said otherwise are those of the default model alone.
  gallery_prices = var.price_per_million_tokens == { input = 0.30, output = 2.50 } && local.environment.MODEL != "google/gemini-3.5-flash-lite" ? {} : {
    PRICES = jsonencode(merge(var.price_per_million_tokens, { model = local.environment.MODEL }))
  }

  gallery_page  = coalesce(var.gallery_page, "${local.source_dir}/.cache/web")
  gallery_files = ["app.js", "icon.svg", "index.html", "style.css"]
  # The page as it would be built now, told by its sources; `make gallery` leaves the same beside it.
  gallery_sources = sha256(join("\n", [
    for name in concat(["web/build.mjs", "web/package-lock.json"], sort(fileset(local.source_dir, "web/src/*"))) :
    "${name} ${filesha256("${local.source_dir}/${name}")}" if var.enable_gallery
  ]))
  gallery_built = fileset(local.gallery_page, "{sources.sha256,${join(",", local.gallery_files)}}")

  # From where each file of the archive is taken.
  gallery_archive = var.enable_gallery ? merge(
    {
      "main.py"          = "${local.source_dir}/gallery/main.py"
      "requirements.txt" = "${local.source_dir}/gallery/requirements.txt"
    },
    { for name in fileset(local.source_dir, "gallery/*.py") : name => "${local.source_dir}/${name}" if name != "gallery/main.py" },
    { for name in local.gallery_files : "page/${name}" => "${local.gallery_page}/${name}" if contains(local.gallery_built, name) },
  ) : {}
  gallery_zip = "${path.root}/.terraform/${local.bucket_prefix}-gallery.zip"
  gallery_digest = sha256(join("\n", [
    for name in sort(keys(local.gallery_archive)) : "${name} ${filesha256(local.gallery_archive[name])}"
  ]))
}

data "archive_file" "gallery" {
  count = var.enable_gallery ? 1 : 0

  type        = "zip"
  output_path = local.gallery_zip

  dynamic "source" {
    for_each = local.gallery_archive
    content {
      filename = source.key
      content  = file(source.value)
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.gallery_built) == length(local.gallery_files) + 1
      error_message = "enable_gallery: the page is not built in ${local.gallery_page}: run `make gallery` first, in a clone of the repository."
    }

    precondition {
      condition     = !contains(local.gallery_built, "sources.sha256") || trimspace(join("", [for name in local.gallery_built : file("${local.gallery_page}/${name}") if name == "sources.sha256"])) == local.gallery_sources
      error_message = "enable_gallery: the page in ${local.gallery_page} was built from other sources than these: run `make gallery` again."
    }
  }
}

resource "google_storage_bucket_object" "gallery" {
  count = var.enable_gallery ? 1 : 0

  bucket = google_storage_bucket.source.name
  name   = "gallery-${local.gallery_digest}.zip"
  source = local.gallery_zip

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [data.archive_file.gallery]
}

# A deleted key keeps its name for weeks, so that one made again needs another.
# https://github.com/hashicorp/terraform-provider-google/issues/11726
resource "time_static" "gallery_key" {
  count = var.enable_gallery ? 1 : 0
}

# No secret: it tells whose quota a web client's calls count to, and is good for these three alone.
# https://firebase.google.com/docs/projects/api-keys
resource "google_apikeys_key" "gallery" {
  count = var.enable_gallery ? 1 : 0

  project      = var.google_cloud_project
  name         = "${local.gallery_name}-${time_static.gallery_key[0].unix}"
  display_name = "Describer: web clients of ${var.name}"

  restrictions {
    dynamic "api_targets" {
      for_each = ["firestore.googleapis.com", "identitytoolkit.googleapis.com", "securetoken.googleapis.com"]
      content {
        service = api_targets.value
      }
    }
  }

  depends_on = [time_sleep.services]
}

# One for the project, and never deleted, only forgotten.
# https://github.com/hashicorp/terraform-provider-google/blob/main/website/docs/r/identity_platform_config.html.markdown
resource "google_identity_platform_config" "this" {
  count = local.gallery_signs_in && var.manage_sign_in ? 1 : 0

  project = var.google_cloud_project

  sign_in {
    email {
      enabled           = true
      password_required = true
    }
  }

  # Whoever runs the gallery makes the accounts: otherwise anybody could make one for themselves, and
  # `signed_in` would keep nobody out.
  client {
    permissions {
      disabled_user_signup   = true
      disabled_user_deletion = true
    }
  }

  depends_on = [time_sleep.services]
}

resource "google_cloudfunctions2_function" "gallery" {
  #checkov:skip=CKV_GCP_124:A page for browsers; who may see which record, the security rules say.
  count = var.enable_gallery ? 1 : 0

  project     = var.google_cloud_project
  location    = var.region
  name        = local.gallery_name
  description = "Serves the gallery of ${var.name}."
  labels      = var.labels

  kms_key_name = var.kms_keys.function

  build_config {
    runtime           = var.runtime
    entry_point       = "serve_gallery"
    docker_repository = google_artifact_registry_repository.images.id
    service_account   = google_service_account.build.name
    worker_pool       = var.worker_pool

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.gallery[0].name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.gallery[0].email
    timeout_seconds                  = 60
    available_memory                 = "256Mi"
    available_cpu                    = "1"
    max_instance_request_concurrency = 40
    min_instance_count               = 0
    max_instance_count               = 4
    ingress_settings                 = "ALLOW_ALL"
    all_traffic_on_latest_revision   = true

    environment_variables = merge(local.gallery_prices, {
      GOOGLE_CLOUD_PROJECT = var.google_cloud_project
      FIRESTORE_DATABASE   = var.firestore_database
      FIRESTORE_COLLECTION = var.firestore_collection
      BUCKETS              = join(",", distinct(concat([local.primary_bucket], sort(keys(local.images)))))
      READERS              = var.readers
      WRITERS              = join(",", var.writers)
      SERVICE_ACCOUNT      = google_service_account.gallery[0].email
      API_KEY              = google_apikeys_key.gallery[0].key_string
      MAX_UPLOAD_BYTES     = tostring(var.max_image_bytes)
      # Of the server, for as many requests as come at once: each waits for Google most of the time.
      THREADS = "40"
    })
  }

  depends_on = [time_sleep.permissions]
}

# --- Who may do what ---------------------------------------------------------------------------

# Of its own, so that a fault in what the internet reaches opens neither model nor records: it has no
# right on the database, and reads a record with the rights of whoever asks.
resource "google_service_account" "gallery" {
  count = var.enable_gallery ? 1 : 0

  project      = var.google_cloud_project
  account_id   = local.gallery_name
  display_name = "Describer: serves the gallery of ${var.name}"

  depends_on = [time_sleep.services]
}

# A signed URL carries the rights of the account that signed it: to read an object by its name, no list.
# https://cloud.google.com/storage/docs/access-control/iam-roles#legacy-roles
resource "google_storage_bucket_iam_member" "gallery_reads_images" {
  for_each = { for name, bucket in local.images : name => bucket if var.enable_gallery }

  bucket = each.value.create ? google_storage_bucket.images[each.key].name : data.google_storage_bucket.existing[each.key].name
  role   = "roles/storage.legacyObjectReader"
  member = google_service_account.gallery[0].member
}

# New objects only: overwriting one would need the right to delete it.
# https://cloud.google.com/storage/docs/access-control/iam-roles#standard-roles
resource "google_storage_bucket_iam_member" "gallery_creates_images" {
  count = local.gallery_uploads ? 1 : 0

  bucket = var.create_bucket ? google_storage_bucket.images[local.primary_bucket].name : data.google_storage_bucket.existing[local.primary_bucket].name
  role   = "roles/storage.objectCreator"
  member = google_service_account.gallery[0].member
}

# Signs without a key that could be lost.
# https://cloud.google.com/storage/docs/access-control/signed-urls#signing-iam
resource "google_service_account_iam_member" "gallery_signs" {
  count = var.enable_gallery ? 1 : 0

  service_account_id = google_service_account.gallery[0].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.gallery[0].member
}

# As the function's own, in iam.tf.
resource "google_project_iam_member" "build_reads_copied_gallery" {
  count = var.enable_gallery ? 1 : 0

  project = var.google_cloud_project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title       = "${local.gallery_name}-copied-source"
    description = "What Cloud Run functions copies of the gallery's source, and the bucket's own name."
    expression  = local.copied_sources[local.gallery_name]
  }
}

# The page itself is everybody's; what it shows, the rules decide.
resource "google_cloud_run_v2_service_iam_member" "everybody_opens_gallery" {
  count = var.enable_gallery ? 1 : 0

  project  = var.google_cloud_project
  location = google_cloudfunctions2_function.gallery[0].location
  name     = google_cloudfunctions2_function.gallery[0].name
  role     = "roles/run.invoker"
  member   = "allUsers"

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.gallery[0].id]
  }
}
