# A function has one event trigger, and it is part of the function: the bucket `bucket_name`. Each
# further bucket gets an Eventarc trigger of its own that delivers to the same service. One function
# per bucket was the alternative; it would multiply builds, cold starts and the ceiling on
# simultaneous model calls, and its copies could drift apart.
#
# What differs: these subscriptions acknowledge within 10 s, which no argument changes, so a longer
# description is delivered again while it is being made. The lease answers that with 503 until the
# record is finished; it costs a few requests and no second model call.
# https://github.com/hashicorp/terraform-provider-google/issues/17701
resource "google_eventarc_trigger" "further" {
  for_each = { for name, location in local.bucket_locations : name => location if name != local.primary_bucket }

  project = var.google_cloud_project
  # By digest: a bucket's name may be longer than a trigger's, and hold dots.
  name                    = "${var.name}-${substr(sha256(each.key), 0, 8)}"
  location                = each.value
  service_account         = google_service_account.trigger.email
  event_data_content_type = "application/json"
  labels                  = var.labels

  # No retry_policy block: the only value it takes is one attempt. Without it an event is delivered
  # again for 24 hours, as RETRY_POLICY_RETRY does for the function's own trigger.

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }
  matching_criteria {
    attribute = "bucket"
    value     = each.key
  }

  destination {
    cloud_run_service {
      # The service of a 2nd generation function carries the function's name.
      service = google_cloudfunctions2_function.describe.name
      region  = google_cloudfunctions2_function.describe.location
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.trigger_invokes]
}

# What ends a live object, in every bucket: `deleted` where the bucket keeps no versions of it, `archived` where
# it does, which is never sent elsewhere. Eventarc matches one type a trigger. An overwrite sends them as well;
# the function looks whether something stands there.
# https://docs.cloud.google.com/storage/docs/pubsub-notifications#events
resource "google_eventarc_trigger" "removals" {
  for_each = { for pair in setproduct(var.delete_records ? keys(local.images) : [], ["archived", "deleted"]) :
    "${pair[0]} ${pair[1]}" => { bucket = pair[0], event = pair[1] }
  }

  project                 = var.google_cloud_project
  name                    = "${var.name}-${substr(sha256(each.key), 0, 8)}"
  location                = local.bucket_locations[each.value.bucket]
  service_account         = google_service_account.trigger.email
  event_data_content_type = "application/json"
  labels                  = var.labels

  # Delivered again for 24 hours; see above.

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.${each.value.event}"
  }
  matching_criteria {
    attribute = "bucket"
    value     = each.value.bucket
  }

  destination {
    cloud_run_service {
      service = google_cloudfunctions2_function.describe.name
      region  = google_cloudfunctions2_function.describe.location
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.trigger_invokes]
}
