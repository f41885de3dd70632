# Where `describer backfill --queue` leaves pictures that were there before: it is fuller or emptier than
# the stream of uploads at will, so it has a rate of its own, and can be paused. Cloud Tasks counts as
# internal for the function's ingress.
# https://cloud.google.com/run/docs/securing/ingress
resource "google_cloud_tasks_queue" "backfill" {
  count = var.backfill_queue == null ? 0 : 1

  project       = var.google_cloud_project
  name          = "${var.name}-backfill"
  location      = var.region
  desired_state = var.backfill_queue.paused ? "PAUSED" : "RUNNING"

  rate_limits {
    max_dispatches_per_second = var.backfill_queue.per_second
    max_concurrent_dispatches = var.backfill_queue.at_once
  }

  # As long between two tries as Eventarc's longest pause. A task that runs out of tries is gone without
  # a record; `describer reconcile` finds its picture.
  retry_config {
    max_attempts  = 100
    min_backoff   = "10s"
    max_backoff   = "600s"
    max_doublings = 6
  }

  depends_on = [time_sleep.services]
}

# Whoever adds a task that shows an account's identity must be allowed to act as it.
# https://cloud.google.com/tasks/docs/creating-http-target-tasks#sa
resource "google_cloud_tasks_queue_iam_member" "operators_enqueue" {
  for_each = toset(var.backfill_queue == null ? [] : var.backfill_queue.operators)

  project  = var.google_cloud_project
  location = var.region
  name     = google_cloud_tasks_queue.backfill[0].name
  role     = "roles/cloudtasks.enqueuer"
  member   = each.key
}

resource "google_service_account_iam_member" "operators_act_as_trigger" {
  for_each = toset(var.backfill_queue == null ? [] : var.backfill_queue.operators)

  service_account_id = google_service_account.trigger.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.key
}
