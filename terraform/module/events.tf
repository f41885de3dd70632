# Where others hear of each record that is finished or deleted; who subscribes is theirs to say.
resource "google_pubsub_topic" "events" {
  #checkov:skip=CKV_GCP_83:Messages are encrypted with Google's keys; a topic is made here only where it is asked for.
  count = var.events_topic == null ? 0 : 1

  project = var.google_cloud_project
  name    = var.events_topic
  labels  = var.labels

  depends_on = [time_sleep.services]
}

# https://cloud.google.com/pubsub/docs/access-control#roles
resource "google_pubsub_topic_iam_member" "run_publishes" {
  count = var.events_topic == null ? 0 : 1

  project = var.google_cloud_project
  topic   = google_pubsub_topic.events[0].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.run.member
}
