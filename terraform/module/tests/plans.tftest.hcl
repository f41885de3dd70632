# What is planned for a fresh project, and what each way of using the module changes.

mock_provider "google" {
  source = "./tests/mocks"
}

mock_provider "google-beta" {
  source = "./tests/mocks-beta"
}

mock_provider "time" {}

variables {
  google_cloud_project = "test-project"
}

# First, since data that stands is not moved.
run "multi_region" {
  command = plan

  variables {
    region             = "europe-west1"
    bucket_location    = "eu"
    firestore_location = "eur3"
    model_location     = "eu"
  }

  assert {
    condition     = google_storage_bucket.images["test-project-describer-images"].location == "EU" && google_cloudfunctions2_function.describe.event_trigger[0].trigger_region == "eu"
    error_message = "The trigger of a multi-region bucket is multi-region."
  }

  assert {
    condition     = google_cloudfunctions2_function.describe.location == "europe-west1" && google_firestore_database.records[0].location_id == "eur3"
    error_message = "Function and database have places of their own."
  }

  assert {
    condition     = google_storage_bucket.source.location == "EUROPE-WEST1"
    error_message = "The archive belongs where the function is."
  }
}

run "fresh" {
  command = apply

  # The function.
  assert {
    condition     = google_cloudfunctions2_function.describe.build_config[0].entry_point == "describe_image" && google_cloudfunctions2_function.describe.build_config[0].runtime == "python313"
    error_message = "Wrong entry point or runtime."
  }

  assert {
    condition = (
      google_cloudfunctions2_function.describe.service_config[0].timeout_seconds == 360
      && google_cloudfunctions2_function.describe.service_config[0].max_instance_request_concurrency == 80
      && google_cloudfunctions2_function.describe.service_config[0].available_cpu == "1"
      && google_cloudfunctions2_function.describe.service_config[0].available_memory == "512Mi"
      && google_cloudfunctions2_function.describe.service_config[0].min_instance_count == 0
      && google_cloudfunctions2_function.describe.service_config[0].max_instance_count == 10
    )
    error_message = "Wrong size or time-out."
  }

  assert {
    condition     = google_cloudfunctions2_function.describe.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "The function must not be reachable from the internet."
  }

  assert {
    condition     = google_cloudfunctions2_function.describe.service_config[0].environment_variables == tomap(local.environment) && length(google_cloudfunctions2_function.describe.service_config[0].secret_environment_variables) == 0
    error_message = "Wrong environment."
  }

  assert {
    condition = tomap(local.environment) == tomap({
      GOOGLE_CLOUD_PROJECT   = "test-project"
      MODEL                  = "google/gemini-3.5-flash-lite"
      FALLBACK_AFTER_SECONDS = "300"
      MODEL_LOCATION         = "global"
      MODEL_SERVER           = "auto"
      IMAGE_INPUT            = "auto"
      FIRESTORE_DATABASE     = "(default)"
      FIRESTORE_COLLECTION   = "descriptions"
      DESCRIPTION_LANGUAGE   = "en"
      ALT_TEXT_CHARACTERS    = "150"
      MAX_OUTPUT_TOKENS      = "1024"
      BUCKETS                = "test-project-describer-images"
      MAX_IMAGE_BYTES        = "104857600"
      MAX_IMAGE_PIXELS       = "200000000"
      MAX_IMAGE_SIDE         = "3072"
      FLUSH_SECONDS          = "1"
      STREAM_TIMEOUT_SECONDS = "240"
      CHUNK_TIMEOUT_SECONDS  = "45"
      LEASE_SECONDS          = "60"
      MAX_ATTEMPTS           = "5"
      MAX_EVENT_AGE_SECONDS  = "82800"
      LOG_LEVEL              = "INFO"
    })
    error_message = "The environment of a default deployment is not the documented one."
  }

  assert {
    condition     = google_storage_bucket_object.source.name == "source-${output.source_archive.sha256}.zip"
    error_message = "The archive must be named by its content."
  }

  # Its trigger.
  assert {
    condition     = google_cloudfunctions2_function.describe.event_trigger[0].event_type == "google.cloud.storage.object.v1.finalized"
    error_message = "Wrong event."
  }

  assert {
    condition     = google_cloudfunctions2_function.describe.event_trigger[0].retry_policy == "RETRY_POLICY_RETRY"
    error_message = "Without retry a failed event is lost."
  }

  assert {
    condition     = google_cloudfunctions2_function.describe.event_trigger[0].trigger_region == "us-central1"
    error_message = "The trigger must stand where the bucket does."
  }

  assert {
    condition     = one(google_cloudfunctions2_function.describe.event_trigger[0].event_filters[*].value) == "test-project-describer-images"
    error_message = "Wrong bucket."
  }

  assert {
    condition     = length(google_eventarc_trigger.further) == 0
    error_message = "One bucket needs no further trigger."
  }

  assert {
    condition     = length(google_eventarc_trigger.removals) == 0
    error_message = "Nobody asked for deletions."
  }

  assert {
    condition     = length(google_pubsub_topic.events) == 0 && length(google_pubsub_topic_iam_member.run_publishes) == 0
    error_message = "Nobody asked for events."
  }

  assert {
    condition     = length(google_cloud_scheduler_job.reconcile) == 0 && !contains(keys(google_monitoring_alert_policy.lines), "lost")
    error_message = "Nobody asked for a schedule."
  }

  # What it reads and writes.
  assert {
    condition = (
      google_storage_bucket.images["test-project-describer-images"].location == "US-CENTRAL1"
      && google_storage_bucket.images["test-project-describer-images"].uniform_bucket_level_access
      && google_storage_bucket.images["test-project-describer-images"].public_access_prevention == "enforced"
    )
    error_message = "The bucket must be regional and closed to the public."
  }

  assert {
    condition     = google_storage_bucket.images["test-project-describer-images"].force_destroy == false && google_storage_bucket.images["test-project-describer-images"].deletion_policy == "ABANDON"
    error_message = "Destroy must leave the images alone."
  }

  assert {
    condition     = google_firestore_database.records[0].deletion_policy == "ABANDON" && google_firestore_database.records[0].delete_protection_state == "DELETE_PROTECTION_ENABLED"
    error_message = "Destroy must leave the records alone."
  }

  assert {
    condition     = google_firestore_database.records[0].location_id == "us-central1" && google_firestore_database.records[0].type == "FIRESTORE_NATIVE"
    error_message = "Wrong database."
  }

  assert {
    condition     = google_firebaserules_release.records[0].name == "cloud.firestore"
    error_message = "The rules of the default database are released as cloud.firestore."
  }

  assert {
    condition = alltrue([for field in google_firestore_field.unindexed :
      length(field.index_config[0].indexes) == 0 && length(field.ttl_config) == 0 && field.collection == "descriptions"
    ]) && contains(keys(google_firestore_field.unindexed), "description")
    error_message = "Long texts and times must not be indexed, nor expire."
  }

  assert {
    condition     = alltrue([for field in google_firestore_field.unindexed : field.deletion_policy == "ABANDON" && field.skip_wait])
    error_message = "Exemptions stay with the records, and nobody waits for them."
  }

  # Who may do what; the whole list is in tests/terraform/test_permissions.py.
  assert {
    condition     = google_project_iam_custom_role.predict[0].permissions == toset(["aiplatform.endpoints.predict"])
    error_message = "Calling a model needs one permission."
  }

  assert {
    condition     = google_project_iam_custom_role.records.permissions == toset(["datastore.entities.create", "datastore.entities.get", "datastore.entities.update"])
    error_message = "Writing records needs three permissions."
  }

  assert {
    condition     = google_project_iam_member.run_records.condition[0].expression == "resource.name == \"projects/test-project/databases/(default)\""
    error_message = "Records must be limited to the database."
  }

  assert {
    condition     = google_project_iam_member.build_reads_copied_source.condition[0].expression == "resource.name == \"projects/_/buckets/gcf-v2-sources-123456789012-us-central1\" || resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-123456789012-us-central1/objects/describer/\")"
    error_message = "The build reads copied sources only."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.trigger_invokes.role == "roles/run.invoker" && google_cloud_run_v2_service_iam_member.trigger_invokes.name == "describer"
    error_message = "The trigger account invokes this service only."
  }

  assert {
    condition     = toset(keys(google_storage_bucket_iam_member.run_reads_images)) == toset(["test-project-describer-images"]) && toset(keys(google_storage_bucket_iam_member.vertex_reads_images)) == toset(["test-project-describer-images"])
    error_message = "Images are read bucket by bucket."
  }

  assert {
    condition     = length(google_kms_crypto_key_iam_member.agents) + length(google_service_account_iam_member.deployer_acts_as) + length(google_project_iam_member.agents) + length(google_secret_manager_secret_iam_member.run_reads_key) == 0
    error_message = "Nothing optional is granted by default."
  }
}

run "existing_bucket" {
  command = plan

  variables {
    bucket_name   = "holiday-pictures"
    create_bucket = false
  }

  assert {
    condition     = length(google_storage_bucket.images) == 0
    error_message = "An existing bucket must not be made."
  }

  # The mock says EU, in capitals as the API does.
  assert {
    condition     = google_cloudfunctions2_function.describe.event_trigger[0].trigger_region == "eu"
    error_message = "The trigger must stand where the existing bucket does."
  }

  assert {
    condition     = google_storage_bucket_iam_member.run_reads_images["holiday-pictures"].role == "roles/storage.objectViewer"
    error_message = "The function must be able to read the existing bucket."
  }

  assert {
    condition     = output.bucket_names == ["holiday-pictures"]
    error_message = "Wrong bucket."
  }
}

run "existing_database" {
  command = plan

  variables {
    create_database    = false
    firestore_database = "shop"
  }

  assert {
    condition     = length(google_firestore_database.records) == 0
    error_message = "An existing database must not be made."
  }

  assert {
    condition     = length(google_firebaserules_release.records) == 0 && length(google_firebaserules_ruleset.records) == 0
    error_message = "The rules of an existing database must stay."
  }

  assert {
    condition     = google_project_iam_member.run_records.condition[0].expression == "resource.name == \"projects/test-project/databases/shop\""
    error_message = "Records must be limited to the database."
  }

  assert {
    condition     = google_firestore_field.unindexed["description"].database == "shop"
    error_message = "Wrong database."
  }

  assert {
    condition     = alltrue([for field in google_firestore_field.unindexed : field.deletion_policy == "ABANDON"])
    error_message = "What destroy leaves of the records it leaves as it was."
  }
}

run "existing_database_with_rules" {
  command = plan

  variables {
    create_database    = false
    firestore_database = "shop"
    manage_rules       = true
    readers            = "signed_in"
  }

  assert {
    condition     = google_firebaserules_release.records[0].name == "cloud.firestore/shop"
    error_message = "The rules of a named database are released under its name."
  }

  assert {
    condition     = strcontains(google_firebaserules_ruleset.records[0].source[0].files[0].content, "allow read: if request.auth != null;")
    error_message = "Wrong rules."
  }
}

run "several_buckets" {
  command = plan

  variables {
    buckets = {
      scans         = { name = "test-project.scans", location = "nam4" }
      shop-pictures = { create = false }
    }
  }

  assert {
    condition = { for name, trigger in google_eventarc_trigger.further : name => trigger.location } == {
      "test-project.scans" = "nam4"
      "shop-pictures"      = "eu"
    }
    error_message = "Each further bucket has a trigger where it stands."
  }

  assert {
    condition = alltrue([for name, trigger in google_eventarc_trigger.further :
      contains(trigger.matching_criteria[*].value, name) && contains(trigger.matching_criteria[*].value, "google.cloud.storage.object.v1.finalized")
      && trigger.destination[0].cloud_run_service[0].service == "describer" && length(trigger.retry_policy) == 0
    ])
    error_message = "Each further trigger delivers its bucket's uploads to the one service, again and again."
  }

  assert {
    condition     = local.environment["BUCKETS"] == "shop-pictures,test-project-describer-images,test-project.scans"
    error_message = "The function must accept events of all buckets."
  }

  assert {
    condition     = keys(google_storage_bucket.images) == ["test-project-describer-images", "test-project.scans"]
    error_message = "Only buckets that are to be made are made."
  }

  assert {
    condition     = length(google_storage_bucket_iam_member.run_reads_images) == 3 && length(google_storage_bucket_iam_member.vertex_reads_images) == 3
    error_message = "All buckets must be readable."
  }
}

run "traces_to_cloud_trace" {
  command = plan

  variables {
    traces_endpoint = "https://telemetry.googleapis.com/v1/traces"
    traces_ratio    = 0.1
  }

  assert {
    condition = (
      length(google_project_iam_member.run_traces) == 1
      && contains(local.services, "telemetry.googleapis.com")
      && local.environment["TRACES_ENDPOINT"] == "https://telemetry.googleapis.com/v1/traces"
      && local.environment["TRACES_RATIO"] == "0.1"
    )
    error_message = "Cloud Trace needs its API and the right to write."
  }
}

run "traces_to_a_collector" {
  command = plan

  variables {
    traces_endpoint = "https://collector.example.com/v1/traces"
  }

  assert {
    condition     = length(google_project_iam_member.run_traces) == 0 && !contains(local.services, "telemetry.googleapis.com")
    error_message = "Another collector needs nothing of Google's."
  }
}

run "records_go_with_their_objects" {
  command = plan

  variables {
    delete_records = true
    buckets        = { "shop-pictures" = { location = "eu" } }
  }

  assert {
    condition = { for name, trigger in google_eventarc_trigger.removals : name => trigger.location } == {
      "shop-pictures archived"                 = "eu"
      "shop-pictures deleted"                  = "eu"
      "test-project-describer-images archived" = "us-central1"
      "test-project-describer-images deleted"  = "us-central1"
    }
    error_message = "Each bucket has a trigger for each way in which an object ends, where it stands."
  }

  assert {
    condition = alltrue([for name, trigger in google_eventarc_trigger.removals :
      toset(trigger.matching_criteria[*].value) == toset([split(" ", name)[0], "google.cloud.storage.object.v1.${split(" ", name)[1]}"])
      && trigger.destination[0].cloud_run_service[0].service == "describer" && length(trigger.retry_policy) == 0
      && trigger.service_account == google_service_account.trigger.email
    ])
    error_message = "Each delivers its event to the one service, again and again."
  }

  assert {
    condition     = contains(google_project_iam_custom_role.records.permissions, "datastore.entities.delete") && local.environment["DELETE_RECORDS"] == "true"
    error_message = "The function must know, and may delete."
  }
}

run "events_out" {
  command = plan

  variables {
    events_topic = "descriptions"
  }

  assert {
    condition     = google_pubsub_topic.events[0].name == "descriptions" && local.environment["EVENTS_TOPIC"] == "descriptions"
    error_message = "The function must publish to the topic that is made."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.run_publishes[0].topic == "descriptions" && google_pubsub_topic_iam_member.run_publishes[0].role == "roles/pubsub.publisher"
    error_message = "It may publish there, and nothing else."
  }
}

run "reconcile_on_a_schedule" {
  command = plan

  variables {
    reconcile = { schedule = "*/30 * * * *", days = 2 }
  }

  assert {
    condition = (
      google_cloud_scheduler_job.reconcile[0].schedule == "*/30 * * * *"
      && google_cloud_scheduler_job.reconcile[0].time_zone == "Etc/UTC"
      && google_cloud_scheduler_job.reconcile[0].attempt_deadline == "360s"
      && google_cloud_scheduler_job.reconcile[0].http_target[0].headers["ce-type"] == "describer.reconcile.v1.requested"
      && jsondecode(base64decode(google_cloud_scheduler_job.reconcile[0].http_target[0].body)) == { days = 2, minutes = 60 }
    )
    error_message = "The function must be asked, as often and for what is said."
  }

  assert {
    condition     = google_cloud_scheduler_job.reconcile[0].http_target[0].oidc_token[0].service_account_email == google_service_account.trigger.email
    error_message = "Only the trigger's account may invoke."
  }

  assert {
    condition     = contains(google_project_iam_custom_role.records.permissions, "datastore.entities.list") && contains(keys(google_monitoring_alert_policy.lines), "lost")
    error_message = "It queries, and what it finds is told."
  }
}

run "third_party_model" {
  command = plan

  variables {
    openai_base_url = "https://api.openai.com/v1"
    openai_api_key  = { secret = "openai-key", version = "3" }
    model           = "gpt-5-mini"
  }

  assert {
    condition = (
      google_cloudfunctions2_function.describe.service_config[0].secret_environment_variables[0].key == "OPENAI_API_KEY"
      && google_cloudfunctions2_function.describe.service_config[0].secret_environment_variables[0].secret == "openai-key"
      && google_cloudfunctions2_function.describe.service_config[0].secret_environment_variables[0].version == "3"
      && google_cloudfunctions2_function.describe.service_config[0].secret_environment_variables[0].project_id == "test-project"
    )
    error_message = "The key comes from Secret Manager."
  }

  assert {
    condition     = !contains(keys(local.environment), "OPENAI_API_KEY") && local.environment["OPENAI_BASE_URL"] == "https://api.openai.com/v1"
    error_message = "The key must not stand in the environment in plain."
  }

  assert {
    condition     = length(google_secret_manager_secret_iam_member.run_reads_key) == 1
    error_message = "The function must be able to read the key."
  }

  assert {
    condition     = length(google_project_iam_custom_role.predict) + length(google_project_iam_member.run_predict) + length(google_storage_bucket_iam_member.vertex_reads_images) == 0
    error_message = "Without Vertex AI nobody needs its rights."
  }

  assert {
    condition     = !contains(local.services, "aiplatform.googleapis.com") && !contains(keys(google_project_service_identity.agents), "aiplatform")
    error_message = "Without Vertex AI its API stays off."
  }
}

run "own_keys" {
  command = plan

  variables {
    kms_keys = {
      function = "projects/keys/locations/us-central1/keyRings/r/cryptoKeys/function"
      bucket   = "projects/keys/locations/us-central1/keyRings/r/cryptoKeys/bucket"
      database = "projects/keys/locations/us-central1/keyRings/r/cryptoKeys/database"
    }
  }

  assert {
    condition     = google_cloudfunctions2_function.describe.kms_key_name == var.kms_keys.function && google_artifact_registry_repository.images.kms_key_name == var.kms_keys.function && google_storage_bucket.source.encryption[0].default_kms_key_name == var.kms_keys.function
    error_message = "Source, image and instances are encrypted with the function's key."
  }

  assert {
    condition     = google_storage_bucket.images["test-project-describer-images"].encryption[0].default_kms_key_name == var.kms_keys.bucket
    error_message = "Images are encrypted with the bucket's key."
  }

  assert {
    condition     = google_firestore_database.records[0].cmek_config[0].kms_key_name == var.kms_keys.database
    error_message = "Records are encrypted with the database's key."
  }

  assert {
    condition = toset(keys(google_kms_crypto_key_iam_member.agents)) == toset([
      "${var.kms_keys.function} artifactregistry",
      "${var.kms_keys.function} cloudfunctions",
      "${var.kms_keys.function} eventarc",
      "${var.kms_keys.function} run",
      "${var.kms_keys.function} storage",
      "${var.kms_keys.bucket} storage",
      "${var.kms_keys.database} firestore",
    ])
    error_message = "Each key is given to the agents that use it, and to no other."
  }
}

run "network_direct" {
  command = plan

  variables {
    vpc         = { network = "default", subnetwork = "private", egress = "ALL_TRAFFIC" }
    worker_pool = "projects/builds/locations/us-central1/workerPools/private"
  }

  assert {
    condition     = google_cloudfunctions2_function.describe.build_config[0].worker_pool == var.worker_pool
    error_message = "Wrong worker pool."
  }

  assert {
    condition = (
      google_cloudfunctions2_function.describe.service_config[0].direct_vpc_network_interface[0].subnetwork == "private"
      && google_cloudfunctions2_function.describe.service_config[0].direct_vpc_egress == "VPC_EGRESS_ALL_TRAFFIC"
      && google_cloudfunctions2_function.describe.service_config[0].vpc_connector == null
    )
    error_message = "Wrong egress."
  }
}

run "network_connector" {
  command = plan

  variables {
    vpc = { connector = "projects/test-project/locations/us-central1/connectors/c" }
  }

  assert {
    condition = (
      google_cloudfunctions2_function.describe.service_config[0].vpc_connector == "projects/test-project/locations/us-central1/connectors/c"
      && google_cloudfunctions2_function.describe.service_config[0].vpc_connector_egress_settings == "PRIVATE_RANGES_ONLY"
      && length(google_cloudfunctions2_function.describe.service_config[0].direct_vpc_network_interface) == 0
    )
    error_message = "Wrong egress."
  }
}

run "all_settings" {
  command = plan

  variables {
    prompt                 = "Name the plants."
    description_language   = "de-CH"
    max_output_tokens      = 2048
    name_include           = ["*.png", "*.jpg"]
    name_exclude           = ["drafts/*"]
    profiles               = [{ pattern = "plans/*", language = "fr", max_output_tokens = 512 }]
    flush_seconds          = 2.5
    stream_timeout_seconds = 100
    chunk_timeout_seconds  = 20
    lease_seconds          = 30
    timeout_seconds        = 220
    image_input            = "inline"
  }

  assert {
    condition     = jsondecode(local.environment["PROFILES"]) == [{ pattern = "plans/*", language = "fr", max_output_tokens = 512 }]
    error_message = "A profile holds what it replaces and nothing else."
  }

  assert {
    condition = (
      local.environment["PROMPT"] == "Name the plants." && local.environment["NAME_INCLUDE"] == "*.png,*.jpg"
      && local.environment["NAME_EXCLUDE"] == "drafts/*" && local.environment["FLUSH_SECONDS"] == "2.5"
    )
    error_message = "Settings must reach the function as it reads them."
  }

  assert {
    condition     = length(google_storage_bucket_iam_member.vertex_reads_images) == 0
    error_message = "Vertex AI need not read what it is sent."
  }
}

run "less_common_options" {
  command = plan

  variables {
    delete_data_on_destroy = true
    record_ttl_days        = 30
    alerts                 = false
  }

  assert {
    condition     = google_storage_bucket.images["test-project-describer-images"].force_destroy && google_storage_bucket.images["test-project-describer-images"].deletion_policy == "DELETE"
    error_message = "Destroy was told to delete the images."
  }

  assert {
    condition     = alltrue([for field in google_firestore_field.unindexed : field.deletion_policy == "DELETE"])
    error_message = "With the records go their exemptions."
  }

  assert {
    condition     = google_firestore_database.records[0].deletion_policy == "DELETE" && google_firestore_database.records[0].delete_protection_state == "DELETE_PROTECTION_DISABLED"
    error_message = "Destroy was told to delete the records."
  }

  assert {
    condition     = one([for name, field in google_firestore_field.unindexed : "${name} ${field.ttl_config[0].expiration_offset}" if length(field.ttl_config) > 0]) == "status.completeTime 2592000s"
    error_message = "Records expire 30 days after they were finished."
  }

  assert {
    condition     = length(google_monitoring_alert_policy.shares) + length(google_monitoring_alert_policy.lines) == 0
    error_message = "No alerts were wanted."
  }
}

run "watching" {
  command = apply

  variables {
    alert_emails = ["ada@example.com"]
    budget       = { billing_account = "01AB23-45CD67-89EF01", amount = 50 }
    deployers    = ["group:deployers@example.com"]
  }

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.shares)) == toset(["blocked_share", "error_share", "first_text", "late_delivery", "spend", "throttled_share", "tokens", "total_time", "unfinished"])
    error_message = "An alert is missing."
  }

  assert {
    condition     = alltrue([for policy in concat(values(google_monitoring_alert_policy.shares), values(google_monitoring_alert_policy.lines)) : length(policy.notification_channels) == 1])
    error_message = "Every alert is sent by email."
  }

  assert {
    condition     = google_billing_budget.project[0].amount[0].specified_amount[0].units == "50" && google_billing_budget.project[0].budget_filter[0].projects == toset(["projects/123456789012"])
    error_message = "Wrong budget."
  }

  assert {
    condition     = toset([for grant in google_service_account_iam_member.deployer_acts_as : grant.role]) == toset(["roles/iam.serviceAccountUser"]) && length(google_service_account_iam_member.deployer_acts_as) == 3
    error_message = "Who deploys acts as the three accounts, on each of them."
  }
}

run "a_queue_for_what_was_there_before" {
  command = apply

  variables {
    backfill_queue = { per_second = 2, paused = true }
  }

  assert {
    condition = (
      google_cloud_tasks_queue.backfill[0].rate_limits[0].max_dispatches_per_second == 2
      && google_cloud_tasks_queue.backfill[0].rate_limits[0].max_concurrent_dispatches == 40
      && google_cloud_tasks_queue.backfill[0].desired_state == "PAUSED"
    )
    error_message = "Wrong rate or state."
  }

  assert {
    condition     = contains(keys(google_project_service.this), "cloudtasks.googleapis.com")
    error_message = "Cloud Tasks must be enabled."
  }

  assert {
    condition     = strcontains(output.backfill_command, "describer backfill gs://test-project-describer-images --to=") && strcontains(output.backfill_command, " --queue=${google_cloud_tasks_queue.backfill[0].id} --invoker=${google_service_account.trigger.email}")
    error_message = "Wrong command."
  }
}

run "gallery_with_sign_in" {
  command = apply

  variables {
    enable_gallery = true
    readers        = "signed_in"
    writers        = ["ada@example.com"]
    buckets        = { "a-second-bucket" = {} }
  }

  assert {
    condition = (
      google_cloudfunctions2_function.gallery[0].service_config[0].ingress_settings == "ALLOW_ALL"
      && google_cloudfunctions2_function.gallery[0].service_config[0].min_instance_count == 0
      && google_cloudfunctions2_function.gallery[0].build_config[0].entry_point == "serve_gallery"
      && google_cloudfunctions2_function.describe.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    )
    error_message = "The gallery is open to the internet and rests at nothing; the function stays closed."
  }

  assert {
    condition     = google_cloudfunctions2_function.gallery[0].service_config[0].environment_variables["BUCKETS"] == "test-project-describer-images,a-second-bucket"
    error_message = "Uploads go into the first bucket."
  }

  assert {
    condition     = one(one(google_firestore_field.unindexed["status.startTime"].index_config).indexes).order == "DESCENDING"
    error_message = "The page orders by the time of the beginning."
  }

  assert {
    condition = alltrue([for field, resource in google_firestore_field.unindexed :
      length(one(resource.index_config).indexes) == 0 if field != "status.startTime"
    ])
    error_message = "All other fields stay without an index."
  }

  assert {
    condition     = one(google_storage_bucket.images["test-project-describer-images"].cors).origin == tolist(["https://describer-gallery-123456789012.us-central1.run.app"]) && one(google_storage_bucket.images["test-project-describer-images"].cors).method == tolist(["PUT"])
    error_message = "Only the page puts objects, and only into the first bucket."
  }

  assert {
    condition     = length(google_storage_bucket.images["a-second-bucket"].cors) == 0 && google_storage_bucket.images["test-project-describer-images"].public_access_prevention == "enforced"
    error_message = "No bucket is public."
  }

  assert {
    condition     = google_identity_platform_config.this[0].client[0].permissions[0].disabled_user_signup && google_identity_platform_config.this[0].sign_in[0].email[0].enabled
    error_message = "With address and password, and nobody makes an account for themselves."
  }

  assert {
    condition     = toset(google_apikeys_key.gallery[0].restrictions[0].api_targets[*].service) == toset(["firestore.googleapis.com", "identitytoolkit.googleapis.com", "securetoken.googleapis.com"])
    error_message = "The key is good for what the page asks, and for nothing else."
  }

  assert {
    condition     = output.gallery_url == "https://describer-gallery-123456789012.us-central1.run.app" && output.web_client.projectId == "test-project"
    error_message = "Wrong address."
  }

  assert {
    condition     = time_sleep.permissions.triggers.built == "describer,describer-gallery"
    error_message = "Its build waits for the roles, also where the gallery comes later."
  }
}

run "gallery_for_everybody" {
  command = apply

  variables {
    enable_gallery = true
    readers        = "public"
  }

  assert {
    condition     = length(google_identity_platform_config.this) == 0 && length(google_storage_bucket_iam_member.gallery_creates_images) == 0 && length(google_storage_bucket.images["test-project-describer-images"].cors) == 0
    error_message = "Nobody signs in, and nobody uploads."
  }

  assert {
    condition     = !contains(local.services, "identitytoolkit.googleapis.com")
    error_message = "What is not used is not turned on."
  }
}

run "gallery_with_a_sign_in_of_its_own" {
  command = plan

  variables {
    enable_gallery  = true
    readers         = "signed_in"
    manage_sign_in  = false
    create_database = false
  }

  assert {
    condition     = length(google_identity_platform_config.this) == 0 && length(google_firebaserules_release.records) == 0
    error_message = "The project's sign-in and its rules stay as they are."
  }
}

run "quiet_logs_are_warned_of" {
  command = plan

  variables {
    log_level = "ERROR"
  }

  expect_failures = [check.deliveries_are_logged]
}

run "existing_bucket_at_another_place" {
  command = plan

  variables {
    bucket_name     = "holiday-pictures"
    create_bucket   = false
    bucket_location = "us"
  }

  expect_failures = [data.google_storage_bucket.existing]
}

run "existing_bucket_of_another_project" {
  command = plan

  variables {
    bucket_name   = "holiday-pictures"
    create_bucket = false
  }

  override_data {
    target = data.google_storage_bucket.existing
    values = { location = "EU", project_number = 999999999999 }
  }

  expect_failures = [data.google_storage_bucket.existing]
}

run "existing_bucket_at_an_unknown_place" {
  command = plan

  variables {
    bucket_name   = "holiday-pictures"
    create_bucket = false
  }

  override_data {
    target = data.google_storage_bucket.existing
    values = { location = "somewhere", project_number = 123456789012 }
  }

  expect_failures = [data.google_storage_bucket.existing]
}
