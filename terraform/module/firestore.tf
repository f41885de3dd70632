locals {
  # Created with the database unless said otherwise: a database that was there has rules of its own,
  # and a release replaces them all.
  manage_rules = coalesce(var.manage_rules, var.create_database)

  rules = templatefile("${path.module}/firestore.rules.tftpl", {
    collection = var.firestore_collection
    readers    = var.readers
    writers    = var.writers
  })

  # Long texts that nobody queries cost an index entry per write, and times that only grow cap a
  # collection at about 500 writes a second.
  # md5Hash is not among them: `reuse` queries it, and turning that on could not undo an exemption that
  # is left behind.
  # https://cloud.google.com/firestore/docs/best-practices#indexes
  unindexed_fields = toset([
    "description",
    "descriptions",
    "partialText",
    "textInImage",
    "status.message",
    "status.startTime",
    "status.firstTextTime",
    "status.refusedSince",
    "status.updateTime",
    "status.completeTime",
    "lease.expireTime",
  ])
}

resource "google_firestore_database" "records" {
  count = var.create_database ? 1 : 0

  project     = var.google_cloud_project
  name        = var.firestore_database
  location_id = coalesce(var.firestore_location, var.region)
  type        = "FIRESTORE_NATIVE"

  point_in_time_recovery_enablement = (
    var.point_in_time_recovery ? "POINT_IN_TIME_RECOVERY_ENABLED" : "POINT_IN_TIME_RECOVERY_DISABLED"
  )
  delete_protection_state = var.delete_data_on_destroy ? "DELETE_PROTECTION_DISABLED" : "DELETE_PROTECTION_ENABLED"
  deletion_policy         = var.delete_data_on_destroy ? "DELETE" : "ABANDON"

  dynamic "cmek_config" {
    for_each = var.kms_keys.database == null ? [] : [var.kms_keys.database]
    content {
      kms_key_name = cmek_config.value
    }
  }

  # Cannot move either; see the buckets.
  # https://cloud.google.com/firestore/docs/locations
  lifecycle {
    ignore_changes = [location_id]

    postcondition {
      condition     = var.firestore_location == null || var.firestore_location == self.location_id
      error_message = "Database ${self.name} was made at ${self.location_id} and cannot move, but firestore_location is ${coalesce(var.firestore_location, "not set")}: set it back, or name another database."
    }
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

resource "google_firestore_field" "unindexed" {
  for_each = local.unindexed_fields

  project    = var.google_cloud_project
  database   = var.firestore_database
  collection = var.firestore_collection
  field      = each.key

  # Indexes of a collection with many records take hours, and nothing here needs them to be gone.
  # https://github.com/hashicorp/terraform-provider-google/issues/28341
  skip_wait = true

  # Otherwise `destroy` would index all that it leaves, which is paid for, and end the time to live.
  deletion_policy = var.delete_data_on_destroy ? "DELETE" : "ABANDON"

  # An empty block: no index at all. The gallery orders by the time of the beginning, the newest first.
  index_config {
    dynamic "indexes" {
      for_each = each.key == "status.startTime" && var.enable_gallery ? ["DESCENDING"] : []
      content {
        order       = indexes.value
        query_scope = "COLLECTION"
      }
    }
  }

  # Counted from when the record was finished, so that no field has to be written for it.
  dynamic "ttl_config" {
    for_each = each.key == "status.completeTime" && var.record_ttl_days != null ? [var.record_ttl_days] : []
    content {
      expiration_offset = "${ttl_config.value * 86400}s"
    }
  }

  depends_on = [google_firestore_database.records, time_sleep.services]
}

resource "google_firebaserules_ruleset" "records" {
  count = local.manage_rules ? 1 : 0

  project = var.google_cloud_project

  source {
    files {
      name    = "firestore.rules"
      content = local.rules
    }
  }

  # A ruleset in use cannot be deleted.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_firestore_database.records, time_sleep.services]
}

resource "google_firebaserules_release" "records" {
  count = local.manage_rules ? 1 : 0

  project = var.google_cloud_project
  # https://github.com/hashicorp/terraform-provider-google/blob/main/website/docs/r/firebaserules_release.html.markdown
  name         = var.firestore_database == "(default)" ? "cloud.firestore" : "cloud.firestore/${var.firestore_database}"
  ruleset_name = "projects/${var.google_cloud_project}/rulesets/${google_firebaserules_ruleset.records[0].name}"
}
