# One run for each validation: a value that it, and no other, refuses. They need the variables and
# nothing else, so each takes a moment instead of the seconds that a plan of everything takes.

variables {
  google_cloud_project = "test-project"
}

run "project_number" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    google_cloud_project = "123456789012"
  }

  expect_failures = [var.google_cloud_project]
}

run "region_is_a_multi_region" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    region = "us"
  }

  expect_failures = [var.region]
}

run "name_too_long" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    name = "describes-every-image"
  }

  expect_failures = [var.name]
}

run "labels_in_capitals" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    labels = { Team = "Images" }
  }

  expect_failures = [var.labels]
}

run "deployers_all_users" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    deployers = ["allUsers"]
  }

  expect_failures = [var.deployers]
}

run "bucket_name_as_uri" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    bucket_name = "gs://images"
  }

  expect_failures = [var.bucket_name]
}

run "bucket_name_missing_for_existing" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    create_bucket = false
  }

  expect_failures = [var.bucket_name]
}

run "bucket_location_is_a_zone" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    bucket_location = "us-central1-a"
  }

  expect_failures = [var.bucket_location]
}

run "buckets_name_as_uri" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    buckets = { "gs://more" = {} }
  }

  expect_failures = [var.buckets]
}

run "buckets_twice" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    bucket_name = "images"
    buckets     = { more = { name = "images" } }
  }

  expect_failures = [var.buckets]
}

run "buckets_location_is_a_zone" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    buckets = { more = { location = "us-central1-a" } }
  }

  expect_failures = [var.buckets]
}

run "firestore_location_is_a_bucket_location" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    firestore_location = "eu"
  }

  expect_failures = [var.firestore_location]
}

run "firestore_location_of_existing" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    create_database    = false
    firestore_location = "eur3"
  }

  expect_failures = [var.firestore_location]
}

run "record_ttl_days_shorter_than_redelivery" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    record_ttl_days = 1
  }

  expect_failures = [var.record_ttl_days]
}

run "readers_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    readers = "everyone"
  }

  expect_failures = [var.readers]
}

run "readers_without_managed_rules" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    create_database = false
    readers         = "public"
  }

  expect_failures = [var.readers]
}

run "writers_malformed" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    readers = "public"
    writers = ["ada@example.com", "'] || true || 'x' in ['@example.com"]
  }

  expect_failures = [var.writers]
}

run "writers_without_readers" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    writers = ["ada@example.com"]
  }

  expect_failures = [var.writers]
}

run "runtime_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    runtime = "nodejs22"
  }

  expect_failures = [var.runtime]
}

run "timeout_above_the_platform_limit" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    timeout_seconds = 541
  }

  expect_failures = [var.timeout_seconds]
}

run "timeout_shorter_than_stream" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    timeout_seconds = 359
  }

  expect_failures = [var.timeout_seconds]
}

run "memory_without_unit" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    available_memory = "512"
  }

  expect_failures = [var.available_memory]
}

run "cpu_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    available_cpu = "3"
  }

  expect_failures = [var.available_cpu]
}

run "concurrency_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    concurrency = 0
  }

  expect_failures = [var.concurrency]
}

run "concurrency_on_a_fraction_of_a_cpu" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    available_cpu = "0.333"
    concurrency   = 2
  }

  expect_failures = [var.concurrency]
}

run "min_instances_above_max" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    min_instances = 3
    max_instances = 2
  }

  expect_failures = [var.min_instances]
}

run "max_instances_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_instances = 0
  }

  expect_failures = [var.max_instances]
}

run "vpc_network_and_connector" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    vpc = { network = "default", connector = "projects/p/locations/us-central1/connectors/c" }
  }

  expect_failures = [var.vpc]
}

run "vpc_subnetwork_alone" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    vpc = { subnetwork = "default" }
  }

  expect_failures = [var.vpc]
}

run "vpc_egress_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    vpc = { network = "default", egress = "SOME" }
  }

  expect_failures = [var.vpc]
}

run "kms_keys_malformed" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    kms_keys = { bucket = "projects/p/locations/us-central1/my-key" }
  }

  expect_failures = [var.kms_keys]
}

run "kms_keys_function_elsewhere" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    kms_keys = { function = "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k" }
  }

  expect_failures = [var.kms_keys]
}

run "kms_keys_bucket_elsewhere" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    bucket_location = "eu"
    kms_keys        = { bucket = "projects/p/locations/europe/keyRings/r/cryptoKeys/k" }
  }

  expect_failures = [var.kms_keys]
}

run "kms_keys_further_bucket_elsewhere" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    buckets  = { more = { location = "eu" } }
    kms_keys = { bucket = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k" }
  }

  expect_failures = [var.kms_keys]
}

run "kms_keys_database_elsewhere" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    firestore_location = "eur3"
    kms_keys           = { database = "projects/p/locations/eur3/keyRings/r/cryptoKeys/k" }
  }

  expect_failures = [var.kms_keys]
}

run "kms_keys_of_existing_database" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    create_database = false
    kms_keys        = { database = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k" }
  }

  expect_failures = [var.kms_keys]
}

run "alert_emails_malformed" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    alert_emails = ["ada"]
  }

  expect_failures = [var.alert_emails]
}

run "alert_emails_twice" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    alert_emails = ["ada@example.com", "ada@example.com"]
  }

  expect_failures = [var.alert_emails]
}

run "alert_thresholds_share_in_percent" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    alert_thresholds = { error_share = 5 }
  }

  expect_failures = [var.alert_thresholds]
}

run "alert_thresholds_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    alert_thresholds = { total_seconds = 0 }
  }

  expect_failures = [var.alert_thresholds]
}

run "price_negative" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    price_per_million_tokens = { input = -1 }
  }

  expect_failures = [var.price_per_million_tokens]
}

run "backfill_queue_without_a_rate" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    backfill_queue = { per_second = 0 }
  }

  expect_failures = [var.backfill_queue]
}

run "backfill_queue_with_nothing_at_once" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    backfill_queue = { at_once = 0 }
  }

  expect_failures = [var.backfill_queue]
}

run "backfill_queue_for_everybody" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    backfill_queue = { operators = ["allUsers"] }
  }

  expect_failures = [var.backfill_queue]
}

run "budget_account_malformed" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    budget = { billing_account = "billingAccounts/01AB23-45CD67-89EF01", amount = 10 }
  }

  expect_failures = [var.budget]
}

run "budget_of_nothing" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    budget = { billing_account = "01AB23-45CD67-89EF01", amount = 0 }
  }

  expect_failures = [var.budget]
}

run "model_with_a_space" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    openai_base_url = "https://example.com/v1"
    model           = "gpt 5"
  }

  expect_failures = [var.model]
}

run "model_unset_elsewhere" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    openai_base_url = "https://example.com/v1"
  }

  expect_failures = [var.model]
}

run "model_without_publisher" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model = "llama-4-maverick"
  }

  expect_failures = [var.model]
}

run "model_retired" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model = "google/gemini-2.5-flash"
  }

  expect_failures = [var.model]
}

run "models_with_a_comma" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "m"
    openai_base_url = "https://example.com/v1"
    models          = ["a,b"]
  }

  expect_failures = [var.models]
}

run "models_retired" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    models = ["google/gemini-3.8-flash", "gemini-2.5-flash"]
  }

  expect_failures = [var.models]
}

run "fallback_after_more_than_a_day" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    fallback_after_seconds = 90000
  }

  expect_failures = [var.fallback_after_seconds]
}

run "fallback_after_the_end" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    models                 = ["google/gemini-3.8-flash"]
    fallback_after_seconds = 82800
  }

  expect_failures = [var.fallback_after_seconds]
}

run "model_location_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "some-model"
    openai_base_url = "https://example.com/v1"
    model_location  = "worldwide"
  }

  expect_failures = [var.model_location]
}

run "model_location_not_sold" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model_location = "us-central1"
  }

  expect_failures = [var.model_location]
}

run "model_location_across_the_ocean" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    region         = "europe-west1"
    model_location = "us"
  }

  expect_failures = [var.model_location]
}

run "openai_base_url_empty" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "some-model"
    openai_base_url = ""
  }

  expect_failures = [var.openai_base_url]
}

run "openai_api_key_as_path" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "some-model"
    openai_base_url = "https://example.com/v1"
    openai_api_key  = { secret = "projects/p/secrets/key" }
  }

  expect_failures = [var.openai_api_key]
}

run "openai_api_key_pasted" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "some-model"
    openai_base_url = "https://example.com/v1"
    openai_api_key  = { secret = "sk-not-a-real-key" }
  }

  expect_failures = [var.openai_api_key]
}

run "openai_api_key_version_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "some-model"
    openai_base_url = "https://example.com/v1"
    openai_api_key  = { secret = "key", version = "newest" }
  }

  expect_failures = [var.openai_api_key]
}

run "openai_api_key_on_vertex" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    openai_api_key = { secret = "key" }
  }

  expect_failures = [var.openai_api_key]
}

run "model_server_nobody_knows" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "m"
    openai_base_url = "https://example.com/v1"
    model_server    = "llama"
  }

  expect_failures = [var.model_server]
}

run "model_server_without_address" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model_server = "ollama"
  }

  expect_failures = [var.model_server]
}

run "image_input_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    image_input = "base64"
  }

  expect_failures = [var.image_input]
}

run "image_input_uri_off_vertex" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "some-model"
    openai_base_url = "https://example.com/v1"
    image_input     = "uri"
  }

  expect_failures = [var.image_input]
}

run "firestore_database_in_capitals" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    firestore_database = "Images"
  }

  expect_failures = [var.firestore_database]
}

run "firestore_collection_nested" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    firestore_collection = "images/all/descriptions"
  }

  expect_failures = [var.firestore_collection]
}

run "prompt_blank" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    prompt = " "
  }

  expect_failures = [var.prompt]
}

run "prompt_too_long" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    prompt = join("", [for n in range(1001) : "describe"])
  }

  expect_failures = [var.prompt]
}

run "description_language_name" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    description_language = "English (US)"
  }

  expect_failures = [var.description_language]
}

run "max_output_tokens_too_few" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_output_tokens = 15
  }

  expect_failures = [var.max_output_tokens]
}

run "reasoning_effort_beyond_all" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model            = "m"
    openai_base_url  = "https://api.openai.com/v1"
    reasoning_effort = "endless"
  }

  expect_failures = [var.reasoning_effort]
}

run "reasoning_effort_where_there_is_none" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model            = "m"
    openai_base_url  = "https://example.com/v1"
    model_server     = "llama.cpp"
    reasoning_effort = "low"
  }

  expect_failures = [var.reasoning_effort]
}

run "reasoning_effort_not_on_vertex" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    reasoning_effort = "xhigh"
  }

  expect_failures = [var.reasoning_effort]
}

run "image_detail_beyond_all" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "m"
    openai_base_url = "https://api.openai.com/v1"
    image_detail    = "endless"
  }

  expect_failures = [var.image_detail]
}

run "image_detail_where_there_is_none" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    model           = "m"
    openai_base_url = "https://example.com/v1"
    model_server    = "llama.cpp"
    image_detail    = "low"
  }

  expect_failures = [var.image_detail]
}

run "image_detail_not_on_vertex" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    image_detail = "original"
  }

  expect_failures = [var.image_detail]
}

run "profiles_blank_prompt" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*.png", prompt = "" }]
  }

  expect_failures = [var.profiles]
}

run "profiles_misspelt_attribute" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*.png", langage = "de" }]
  }

  expect_failures = [var.profiles]
}

run "profiles_language_empty" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*.png", language = "" }]
  }

  expect_failures = [var.profiles]
}

run "profiles_too_few_tokens" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*.png", max_output_tokens = 1.5 }]
  }

  expect_failures = [var.profiles]
}

run "profiles_retired_model" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*.png", model = "google/gemini-1.5-pro" }]
  }

  expect_failures = [var.profiles]
}

run "profiles_models_retired" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*.png", models = ["google/gemini-3.8-flash", "gemini-2.5-flash"] }]
  }

  expect_failures = [var.profiles]
}

run "name_include_with_a_comma" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    name_include = ["*.png,*.jpg"]
  }

  expect_failures = [var.name_include]
}

run "name_exclude_blank" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    name_exclude = [""]
  }

  expect_failures = [var.name_exclude]
}

run "max_image_bytes_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_image_bytes = 0
  }

  expect_failures = [var.max_image_bytes]
}

run "max_image_pixels_few" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_image_pixels = 999
  }

  expect_failures = [var.max_image_pixels]
}

run "max_image_side_of_an_icon" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_image_side = 63
  }

  expect_failures = [var.max_image_side]
}

run "flush_seconds_below_a_write_a_second" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    flush_seconds = 0.5
  }

  expect_failures = [var.flush_seconds]
}

run "flush_seconds_half_the_lease" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    flush_seconds = 30
  }

  expect_failures = [var.flush_seconds]
}

run "stream_timeout_leaves_nothing_of_the_limit" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    timeout_seconds        = 540
    stream_timeout_seconds = 420.5
  }

  expect_failures = [var.stream_timeout_seconds]
}

run "stream_timeout_within_a_silence" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    stream_timeout_seconds = 45
  }

  expect_failures = [var.stream_timeout_seconds]
}

run "chunk_timeout_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    chunk_timeout_seconds = 0
  }

  expect_failures = [var.chunk_timeout_seconds]
}

run "lease_too_long" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    lease_seconds = 901
  }

  expect_failures = [var.lease_seconds]
}

run "lease_within_a_silence" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    lease_seconds = 54
  }

  expect_failures = [var.lease_seconds]
}

run "outputs_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    outputs = ["caption"]
  }

  expect_failures = [var.outputs]
}

run "tags_with_a_comma" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    tags = ["cat,dog"]
  }

  expect_failures = [var.tags]
}

run "alt_text_characters_too_few" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    alt_text_characters = 10
  }

  expect_failures = [var.alt_text_characters]
}

run "profiles_outputs_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*", outputs = ["none", "tags"] }]
  }

  expect_failures = [var.profiles]
}

run "profiles_tags_empty" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*", tags = [] }]
  }

  expect_failures = [var.profiles]
}

run "use_metadata_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    use_metadata = ["custom:title", "exif:GPSPosition"]
  }

  expect_failures = [var.use_metadata]
}

run "profiles_use_metadata_empty" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    profiles = [{ pattern = "*", use_metadata = [] }]
  }

  expect_failures = [var.profiles]
}

run "daily_limit_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    daily_limit = 0
  }

  expect_failures = [var.daily_limit]
}

run "events_topic_whole_name" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    events_topic = "projects/p/topics/t"
  }

  expect_failures = [var.events_topic]
}

run "reconcile_schedule_short" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    reconcile = { schedule = "daily" }
  }

  expect_failures = [var.reconcile]
}

run "reconcile_days_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    reconcile = { days = 0 }
  }

  expect_failures = [var.reconcile]
}

run "reconcile_days_over_record_ttl_days" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    reconcile       = {}
    record_ttl_days = 2
  }

  expect_failures = [var.reconcile]
}

run "max_attempts_zero" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_attempts = 0
  }

  expect_failures = [var.max_attempts]
}

run "max_event_age_beyond_redelivery" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_event_age_seconds = 86400
  }

  expect_failures = [var.max_event_age_seconds]
}

run "max_event_age_within_a_lease" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    max_event_age_seconds = 200
    lease_seconds         = 300
  }

  expect_failures = [var.max_event_age_seconds]
}

run "traces_endpoint_with_credentials" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    traces_endpoint = "https://key@example.com/v1/traces"
  }

  expect_failures = [var.traces_endpoint]
}

run "traces_ratio_in_percent" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    traces_ratio = 10
  }

  expect_failures = [var.traces_ratio]
}

run "log_level_unknown" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    log_level = "TRACE"
  }

  expect_failures = [var.log_level]
}

run "worker_pool_by_name_alone" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    worker_pool = "private"
  }

  expect_failures = [var.worker_pool]
}

run "gallery_that_shows_nobody_anything" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    enable_gallery = true
  }

  expect_failures = [var.readers]
}

run "gallery_page_that_is_not_there" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    gallery_page = "no-such-folder"
  }

  expect_failures = [var.gallery_page]
}
