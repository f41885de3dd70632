# An event that the platform drops is told by nothing but the bucket, so the function compares the two from time to
# time. It is asked to by an event at its own door: a job beside it would need an image, an account and rights of
# its own. Cloud Scheduler counts as internal for the function's ingress.
# https://cloud.google.com/run/docs/securing/ingress
resource "google_cloud_scheduler_job" "reconcile" {
  count = var.reconcile == null ? 0 : 1

  project          = var.google_cloud_project
  region           = var.region
  name             = "${var.name}-reconcile"
  description      = "Has ${var.name} look for pictures that were lost on the way."
  schedule         = var.reconcile.schedule
  time_zone        = var.reconcile.time_zone
  attempt_deadline = "${var.timeout_seconds}s"

  # A run that fails is not tried again: the next one goes on where the last stopped.

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.describe.service_config[0].uri
    headers = {
      "Content-Type"   = "application/json"
      "ce-id"          = "reconcile"
      "ce-source"      = "//cloudscheduler.googleapis.com/projects/${var.google_cloud_project}/locations/${var.region}/jobs/${var.name}-reconcile"
      "ce-specversion" = "1.0"
      "ce-type"        = "describer.reconcile.v1.requested"
    }
    body = base64encode(jsonencode({ days = var.reconcile.days, minutes = var.reconcile.minutes }))

    oidc_token {
      service_account_email = google_service_account.trigger.email
      audience              = google_cloudfunctions2_function.describe.service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.trigger_invokes, google_service_account_iam_member.scheduler_signs]
}
