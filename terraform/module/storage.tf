locals {
  # The id of a project inside a domain holds a colon and dots, which a bucket's name had better not.
  bucket_prefix  = "${replace(var.google_cloud_project, "/[.:]/", "-")}-${var.name}"
  primary_bucket = coalesce(var.bucket_name, "${local.bucket_prefix}-images")

  # Every bucket whose images are described, by name. The first is the function's own trigger.
  images = merge(
    { (local.primary_bucket) = { create = var.create_bucket, location = var.bucket_location } },
    { for key, bucket in var.buckets : coalesce(bucket.name, key) => {
      create = bucket.create, location = bucket.location
    } },
  )

  # An event trigger has to stand where the bucket does: region, dual-region or multi-region.
  # https://cloud.google.com/eventarc/docs/understand-locations
  bucket_locations = { for name, bucket in local.images : name => lower(
    bucket.create
    ? google_storage_bucket.images[name].location
    : bucket.location == null ? data.google_storage_bucket.existing[name].location : bucket.location
  ) }
}

resource "google_storage_bucket" "images" {
  #checkov:skip=CKV_GCP_63:There is no access log, so none can land in the bucket itself.
  #checkov:skip=CKV_GCP_62:Access logs of an image store cost more than they tell; data access audit logs are the project's choice.
  #checkov:skip=CKV_GCP_78:An overwritten image gets a new description and the old one is not read again; soft delete keeps it for seven days.
  for_each = { for name, bucket in local.images : name => bucket if bucket.create }

  project                     = var.google_cloud_project
  name                        = each.key
  location                    = upper(coalesce(each.value.location, var.region))
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = var.labels

  # Both say the same to two readers: to `destroy`, and to whoever deletes the bucket by other means.
  force_destroy   = var.delete_data_on_destroy
  deletion_policy = var.delete_data_on_destroy ? "DELETE" : "ABANDON"

  # What the gallery uploads goes from the page straight into the bucket.
  # https://cloud.google.com/storage/docs/cross-origin
  dynamic "cors" {
    for_each = local.gallery_uploads && each.key == local.primary_bucket ? [local.gallery_url] : []
    content {
      origin          = [cors.value]
      method          = ["PUT"]
      response_header = ["Content-Type", "x-goog-content-length-range", "x-goog-generation", "x-goog-if-generation-match"]
      max_age_seconds = 3600
    }
  }

  dynamic "encryption" {
    for_each = var.kms_keys.bucket == null ? [] : [var.kms_keys.bucket]
    content {
      default_kms_key_name = encryption.value
    }
  }

  # A bucket cannot move: another location would replace it by an empty one of the same name. So it stays
  # where it was made when `region` changes, and is refused a place that is named and not its own.
  # https://cloud.google.com/storage/docs/locations#key-concepts
  lifecycle {
    ignore_changes = [location]

    postcondition {
      condition     = each.value.location == null || upper(coalesce(each.value.location, "none")) == upper(self.location)
      error_message = "Bucket ${each.key} was made at ${lower(self.location)} and cannot move, but bucket_location is ${coalesce(each.value.location, "not set")}: set it back, or name another bucket."
    }
  }

  depends_on = [google_project_service.storage, time_sleep.keys]
}

locals {
  existing = { for name, bucket in local.images : name => bucket if !bucket.create }
}

# Of a data source, not of `local.project_number`: that is not known before the first apply.
data "google_project" "this" {
  count = length(local.existing) == 0 ? 0 : 1

  project_id = var.google_cloud_project
}

data "google_storage_bucket" "existing" {
  for_each = local.existing

  project = var.google_cloud_project
  name    = each.key

  lifecycle {
    # https://docs.cloud.google.com/run/docs/triggering/storage-triggers
    postcondition {
      condition     = tostring(self.project_number) == data.google_project.this[0].number
      error_message = "Bucket ${each.key} belongs to project ${self.project_number}, not to ${var.google_cloud_project}: a trigger can only be made for a bucket of its own project. Deploy into the bucket's project."
    }

    postcondition {
      condition     = each.value.location == null || upper(coalesce(each.value.location, "none")) == upper(self.location)
      error_message = "Bucket ${each.key} is at ${lower(self.location)}, not at ${coalesce(each.value.location, "no place")}: correct its location, or leave it out."
    }

    postcondition {
      condition     = length(regexall("^([A-Z]+-[A-Z]+[0-9]+|US|EU|ASIA|[A-Z]+[0-9]+)$", upper(self.location))) > 0
      error_message = "Bucket ${each.key} is at \"${self.location}\": expected a region, a dual-region or a multi-region that an Eventarc trigger can stand in."
    }
  }
}

# Holds the function's archive and nothing else; that is why `destroy` may empty it.
resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_63:There is no access log, so none can land in the bucket itself.
  #checkov:skip=CKV_GCP_62:Read by one build per deployment; the build's own log names the archive.
  #checkov:skip=CKV_GCP_78:Archives are named by their digest and never overwritten.
  project = var.google_cloud_project
  # With its place, so that a change of `region` makes another before this one goes.
  name                        = "${local.bucket_prefix}-source-${var.region}"
  location                    = upper(var.region)
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = var.labels

  dynamic "encryption" {
    for_each = var.kms_keys.function == null ? [] : [var.kms_keys.function]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.storage, time_sleep.keys]
}
