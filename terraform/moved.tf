# Addresses of the time when this folder was the module itself.

moved {
  from = google_artifact_registry_repository.images
  to   = module.describer.google_artifact_registry_repository.images
}

moved {
  from = google_artifact_registry_repository_iam_member.build_pushes
  to   = module.describer.google_artifact_registry_repository_iam_member.build_pushes
}

moved {
  from = google_billing_budget.project
  to   = module.describer.google_billing_budget.project
}

moved {
  from = google_cloud_run_v2_service_iam_member.trigger_invokes
  to   = module.describer.google_cloud_run_v2_service_iam_member.trigger_invokes
}

moved {
  from = google_cloudfunctions2_function.describe
  to   = module.describer.google_cloudfunctions2_function.describe
}

moved {
  from = google_eventarc_trigger.further
  to   = module.describer.google_eventarc_trigger.further
}

moved {
  from = google_firebaserules_release.records
  to   = module.describer.google_firebaserules_release.records
}

moved {
  from = google_firebaserules_ruleset.records
  to   = module.describer.google_firebaserules_ruleset.records
}

moved {
  from = google_firestore_database.records
  to   = module.describer.google_firestore_database.records
}

moved {
  from = google_firestore_field.unindexed
  to   = module.describer.google_firestore_field.unindexed
}

moved {
  from = google_kms_crypto_key_iam_member.agents
  to   = module.describer.google_kms_crypto_key_iam_member.agents
}

moved {
  from = google_logging_metric.deliveries
  to   = module.describer.google_logging_metric.deliveries
}

moved {
  from = google_logging_metric.distributions
  to   = module.describer.google_logging_metric.distributions
}

moved {
  from = google_monitoring_alert_policy.shares
  to   = module.describer.google_monitoring_alert_policy.shares
}

moved {
  from = google_monitoring_dashboard.describer
  to   = module.describer.google_monitoring_dashboard.describer
}

moved {
  from = google_monitoring_notification_channel.email
  to   = module.describer.google_monitoring_notification_channel.email
}

moved {
  from = google_project_iam_custom_role.predict
  to   = module.describer.google_project_iam_custom_role.predict
}

moved {
  from = google_project_iam_custom_role.records
  to   = module.describer.google_project_iam_custom_role.records
}

moved {
  from = google_project_iam_member.build_logs
  to   = module.describer.google_project_iam_member.build_logs
}

moved {
  from = google_project_iam_member.build_reads_copied_source
  to   = module.describer.google_project_iam_member.build_reads_copied_source
}

moved {
  from = google_project_iam_member.eventarc_agent
  to   = module.describer.google_project_iam_member.eventarc_agent
}

moved {
  from = google_project_iam_member.run_predict
  to   = module.describer.google_project_iam_member.run_predict
}

moved {
  from = google_project_iam_member.run_records
  to   = module.describer.google_project_iam_member.run_records
}

moved {
  from = google_project_iam_member.storage_publishes
  to   = module.describer.google_project_iam_member.storage_publishes
}

moved {
  from = google_project_iam_member.trigger_receives
  to   = module.describer.google_project_iam_member.trigger_receives
}

moved {
  from = google_project_service.storage
  to   = module.describer.google_project_service.storage
}

moved {
  from = google_project_service.this
  to   = module.describer.google_project_service.this
}

moved {
  from = google_project_service_identity.agents
  to   = module.describer.google_project_service_identity.agents
}

moved {
  from = google_secret_manager_secret_iam_member.run_reads_key
  to   = module.describer.google_secret_manager_secret_iam_member.run_reads_key
}

moved {
  from = google_service_account.build
  to   = module.describer.google_service_account.build
}

moved {
  from = google_service_account.run
  to   = module.describer.google_service_account.run
}

moved {
  from = google_service_account.trigger
  to   = module.describer.google_service_account.trigger
}

moved {
  from = google_service_account_iam_member.deployer_acts_as
  to   = module.describer.google_service_account_iam_member.deployer_acts_as
}

moved {
  from = google_service_account_iam_member.pubsub_signs
  to   = module.describer.google_service_account_iam_member.pubsub_signs
}

moved {
  from = google_storage_bucket.images
  to   = module.describer.google_storage_bucket.images
}

moved {
  from = google_storage_bucket.source
  to   = module.describer.google_storage_bucket.source
}

moved {
  from = google_storage_bucket_iam_member.build_reads_source
  to   = module.describer.google_storage_bucket_iam_member.build_reads_source
}

moved {
  from = google_storage_bucket_iam_member.run_reads_images
  to   = module.describer.google_storage_bucket_iam_member.run_reads_images
}

moved {
  from = google_storage_bucket_iam_member.vertex_reads_images
  to   = module.describer.google_storage_bucket_iam_member.vertex_reads_images
}

moved {
  from = google_storage_bucket_object.source
  to   = module.describer.google_storage_bucket_object.source
}

moved {
  from = time_sleep.keys
  to   = module.describer.time_sleep.keys
}

moved {
  from = time_sleep.permissions
  to   = module.describer.time_sleep.permissions
}

moved {
  from = time_sleep.services
  to   = module.describer.time_sleep.services
}
