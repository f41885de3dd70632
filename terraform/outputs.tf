output "next_steps" {
  description = "What to do now."
  value       = module.describer.next_steps
}

output "upload_command" {
  description = "Uploads an image to be described."
  value       = module.describer.upload_command
}

output "record_url" {
  description = "Where a record is read over REST: the lower case hexadecimal SHA-256 of gs://BUCKET/NAME takes the place of {id}."
  value       = module.describer.record_url
}

output "bucket_names" {
  description = "Buckets whose images are described; the first is the function's own trigger."
  value       = module.describer.bucket_names
}

output "trigger_regions" {
  description = "Where the trigger of each bucket stands."
  value       = module.describer.trigger_regions
}

output "function" {
  description = "Resource name of the function."
  value       = module.describer.function
}

output "service_accounts" {
  description = "Accounts that run, deliver and build, and the gallery's."
  value       = module.describer.service_accounts
}

output "source_archive" {
  description = "What is deployed: the digest of the files, which names the archive too, and the files in it."
  value       = module.describer.source_archive
}

output "firestore_rules" {
  description = "The security rules for `readers`; to be taken into your own where manage_rules is false."
  value       = module.describer.firestore_rules
}

output "backfill_command" {
  description = "Has the pictures described that were in the first bucket before, through the queue; null without one."
  value       = module.describer.backfill_command
}

output "gallery_url" {
  description = "The gallery's page; null without one."
  value       = module.describer.gallery_url
}

output "web_client" {
  description = "What `initializeApp` of a web page takes, none of it secret; null without a gallery."
  value       = module.describer.web_client
}

output "records_url" {
  description = "The records in the console."
  value       = module.describer.records_url
}

output "logs_url" {
  description = "The function's log lines in the console, one for each delivery."
  value       = module.describer.logs_url
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value       = module.describer.dashboard_url
}
