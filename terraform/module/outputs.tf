locals {
  console = "https://console.cloud.google.com"
  # The console spells the default database's id without its brackets.
  console_database = var.firestore_database == "(default)" ? "-default-" : var.firestore_database
  upload_command   = "gcloud storage cp IMAGE.jpg gs://${local.primary_bucket}/ --project=${var.google_cloud_project}"
  records_path     = "projects/${var.google_cloud_project}/databases/${var.firestore_database}/documents/${var.firestore_collection}"
}

output "next_steps" {
  description = "What to do now."
  value       = <<-EOT
    1. Upload an image:
         ${local.upload_command}
    2. Read its record, a few seconds later:
         id=$(printf %s gs://${local.primary_bucket}/IMAGE.jpg | sha256sum | cut -d' ' -f1)
         curl -H "Authorization: Bearer $(gcloud auth print-access-token)" \
           -H "x-goog-user-project: ${var.google_cloud_project}" \
           "https://firestore.googleapis.com/v1/${local.records_path}/$id"
    3. Watch: the outputs dashboard_url and logs_url.
  EOT
}

output "upload_command" {
  description = "Uploads an image to be described."
  value       = local.upload_command
}

output "record_url" {
  description = "Where a record is read over REST: the lower case hexadecimal SHA-256 of gs://BUCKET/NAME takes the place of {id}."
  value       = "https://firestore.googleapis.com/v1/${local.records_path}/{id}"
}

output "bucket_names" {
  description = "Buckets whose images are described; the first is the function's own trigger."
  value       = concat([local.primary_bucket], sort([for name in keys(local.images) : name if name != local.primary_bucket]))
}

output "trigger_regions" {
  description = "Where the trigger of each bucket stands."
  value       = local.bucket_locations
}

output "function" {
  description = "Resource name of the function."
  value       = google_cloudfunctions2_function.describe.id
}

output "service_accounts" {
  description = "Accounts that run, deliver and build, and the gallery's."
  value = merge(
    {
      run     = google_service_account.run.email
      trigger = google_service_account.trigger.email
      build   = google_service_account.build.email
    },
    { for account in google_service_account.gallery : "gallery" => account.email },
  )
}

output "source_archive" {
  description = "What is deployed: the digest of the files, which names the archive too, and the files in it."
  value = {
    sha256 = local.source_digest
    files  = local.source_files
  }
}

output "firestore_rules" {
  description = "The security rules for `readers`; to be taken into your own where manage_rules is false."
  value       = local.rules
}

output "backfill_command" {
  description = "Has the pictures described that were in the first bucket before, through the queue; null without one."
  value = var.backfill_queue == null ? null : join(" ", [
    "describer backfill gs://${local.primary_bucket}",
    "--to=${google_cloudfunctions2_function.describe.service_config[0].uri}",
    "--queue=${google_cloud_tasks_queue.backfill[0].id}",
    "--invoker=${google_service_account.trigger.email}",
  ])
}

output "gallery_url" {
  description = "The gallery's page; null without one."
  value       = var.enable_gallery ? local.gallery_url : null

  depends_on = [google_cloudfunctions2_function.gallery]
}

output "web_client" {
  description = "What `initializeApp` of a web page takes, none of it secret; null without a gallery."
  value = var.enable_gallery ? {
    projectId = var.google_cloud_project
    apiKey    = nonsensitive(google_apikeys_key.gallery[0].key_string)
  } : null
}

output "records_url" {
  description = "The records in the console."
  value       = "${local.console}/firestore/databases/${local.console_database}/data/panel/${var.firestore_collection}?project=${var.google_cloud_project}"
}

output "logs_url" {
  description = "The function's log lines in the console, one for each delivery."
  value       = "${local.console}/logs/query;query=${replace(urlencode(local.delivery), "+", "%20")}?project=${var.google_cloud_project}"
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value       = "${local.console}/monitoring/dashboards/builder/${element(split("/", google_monitoring_dashboard.describer.id), -1)}?project=${var.google_cloud_project}"
}
