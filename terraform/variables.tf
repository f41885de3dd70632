# The module's variables, one for one; what each defaults to and accepts stands in module/variables.tf
# and module/variables-settings.tf. Null here is the module's own default.

variable "region" {
  description = "Region of the function, its builds and, unless said otherwise, the bucket and the database."
  type        = string
  default     = null
}

variable "name" {
  description = "Name of the function, and the beginning of every other name. Lower case letters, digits and hyphens, 3 to 20 characters."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels on everything that takes labels."
  type        = map(string)
  default     = null
}

variable "deployers" {
  description = "Members (user:, group:, serviceAccount:, principal:) that may deploy as the three service accounts, if they do not own the project."
  type        = list(string)
  default     = null
}

variable "bucket_name" {
  description = "Bucket whose uploads are described. Null: <google_cloud_project>-<name>-images."
  type        = string
  default     = null
}

variable "create_bucket" {
  description = "Whether the bucket `bucket_name` is made here. False: it exists, and its location is read from it."
  type        = bool
  default     = null
}

variable "bucket_location" {
  description = "Location of the bucket: a region, a dual-region such as nam4, or us, eu, asia. It never moves once the bucket is made. Null: the region of the function at that time; read from the bucket if it is not made here."
  type        = string
  default     = null
}

variable "buckets" {
  description = <<-EOT
    Further buckets, each described into the same collection. The key is the bucket's name unless
    `name` says otherwise; `create` and `location` mean what create_bucket and bucket_location do.
  EOT
  type = map(object({
    name     = optional(string)
    create   = optional(bool, true)
    location = optional(string)
  }))
  default = null
}

variable "delete_data_on_destroy" {
  description = "Whether `terraform destroy` deletes the buckets with all images and the database with all records. False: both are left where they are, and only forgotten."
  type        = bool
  default     = null
}

variable "create_database" {
  description = "Whether the database `firestore_database` is made here. False: it exists."
  type        = bool
  default     = null
}

variable "firestore_location" {
  description = "Location of the database made here: a region, nam5 or eur3. It never moves once the database is made. Null: the region of the function at that time."
  type        = string
  default     = null
}

variable "point_in_time_recovery" {
  description = "Whether the database made here keeps seven days of versions. Storage for them is billed."
  type        = bool
  default     = null
}

variable "record_ttl_days" {
  description = "Days after which a finished record is deleted by Firestore, within about a day and billed as a delete. Null: never."
  type        = number
  default     = null
}

variable "readers" {
  description = "Who may read records from a web or mobile client: none, signed_in (any Firebase Authentication user, anonymous ones too) or public."
  type        = string
  default     = null
}

variable "writers" {
  description = "Verified e-mail addresses of Firebase Authentication users who may approve finished records, or put words of their own in place of the model's (`source` person), and nothing else. `readers` must let them read."
  type        = list(string)
  default     = null
}

variable "manage_rules" {
  description = "Whether the database's security rules are replaced by those of `readers`: all of them, for every collection. Null: only if the database is made here."
  type        = bool
  default     = null
}

variable "runtime" {
  description = "Python runtime of the function."
  type        = string
  default     = null
}

variable "timeout_seconds" {
  description = "Seconds that one delivery may take. The whole stream and 120 s for the rest must fit."
  type        = number
  default     = null
}

variable "available_memory" {
  description = "Memory of an instance, such as 512Mi or 1Gi. Images read here take at most 150 MB of it at a time, their conversion 96 MB; others wait."
  type        = string
  default     = null
}

variable "available_cpu" {
  description = "Virtual CPUs of an instance: a fraction such as 0.333, or 1, 2, 4, 6, 8."
  type        = string
  default     = null
}

variable "concurrency" {
  description = "Images that one instance describes at once. Nearly all of the time is spent waiting for the model."
  type        = number
  default     = null
}

variable "min_instances" {
  description = "Instances kept warm. Each is billed while idle."
  type        = number
  default     = null
}

variable "max_instances" {
  description = "Most instances at once. Times `concurrency`, the ceiling on simultaneous model calls."
  type        = number
  default     = null
}

variable "vpc" {
  description = <<-EOT
    Egress through a VPC: `network` and `subnetwork` (direct, with optional network `tags`), or
    `connector` (projects/P/locations/L/connectors/C). `egress`: ALL_TRAFFIC or
    PRIVATE_RANGES_ONLY. Left out: the internet, as usual.
  EOT
  type = object({
    network    = optional(string)
    subnetwork = optional(string)
    tags       = optional(list(string))
    connector  = optional(string)
    egress     = optional(string, "PRIVATE_RANGES_ONLY")
  })
  default = null
}

variable "worker_pool" {
  description = "Private pool that builds the function, as projects/P/locations/L/workerPools/W, where an organisation allows no other. Null: Google's own."
  type        = string
  default     = null
}

variable "kms_keys" {
  description = <<-EOT
    Customer-managed keys, each projects/P/locations/L/keyRings/R/cryptoKeys/K: `function` for
    source, image and instances (a key in `region`), `bucket` for the buckets made here (a key at
    their location), `database` for the database made here (a key at its location; it can never be
    added or taken away later).
  EOT
  type = object({
    function = optional(string)
    bucket   = optional(string)
    database = optional(string)
  })
  default = null
}

variable "alerts" {
  description = "Whether alert policies are made. Metrics and dashboard are made in any case."
  type        = bool
  default     = null
}

variable "alert_emails" {
  description = "Addresses that alerts and budget notices are sent to."
  type        = list(string)
  default     = null
}

variable "alert_thresholds" {
  description = <<-EOT
    When to alert. Shares are from 0 to 1, over an hour with at least `min_images` images finished.
    `error_share`: ended without a description, for another reason than a block. `blocked_share`:
    refused by the safety filter. `throttled_share`: deliveries that the model answered with 429.
    `first_text_seconds`, `total_seconds`: 95th percentile over an hour. `unfinished_seconds`: age
    of the oldest upload without a finished record. `tokens_per_day`, `spend_per_day` (in the
    currency of `price_per_million_tokens`): over the last 24 hours.
  EOT
  type = object({
    min_images         = optional(number, 20)
    error_share        = optional(number, 0.05)
    blocked_share      = optional(number, 0.1)
    throttled_share    = optional(number, 0.2)
    first_text_seconds = optional(number, 20)
    total_seconds      = optional(number, 60)
    unfinished_seconds = optional(number, 3600)
    tokens_per_day     = optional(number, 50000000)
    spend_per_day      = optional(number, 20)
  })
  default = null
}

variable "price_per_million_tokens" {
  description = "Price of a million tokens in and out, for the spend estimate. Thinking is charged as output. The default is the list price of the default model in US dollars, in late 2026."
  type = object({
    input  = optional(number, 0.30)
    output = optional(number, 2.50)
  })
  default = null
}

variable "backfill_queue" {
  description = <<-EOT
    A queue for `describer backfill --queue`, which delivers pictures that were there before by a rate of its
    own: `per_second` (deliveries begun in a second), `at_once` (under way at the same time), `paused`, and
    `operators` (members, such as user:ada@example.com, who may add to it). Null: none.
  EOT
  type = object({
    per_second = optional(number, 5)
    at_once    = optional(number, 40)
    paused     = optional(bool, false)
    operators  = optional(list(string), [])
  })
  default = null
}

variable "enable_gallery" {
  description = "Whether the gallery is deployed: a page of the records for whom `readers` lets read, with corrections and uploads for `writers`. Its page is built before, by `make gallery`."
  type        = bool
  default     = null
}

variable "gallery_page" {
  description = "Folder of the built page. Null: where `make gallery` leaves it, .cache/web of the repository."
  type        = string
  default     = null
}

variable "manage_sign_in" {
  description = "Whether Identity Platform is set up where the gallery asks for it: sign-in with address and password, for accounts that you make. False: the project's sign-in is set up elsewhere, and stays as it is."
  type        = bool
  default     = null
}

variable "reconcile" {
  description = <<-EOT
    When the function looks for pictures that were lost on the way, and describes them: `schedule` (as of cron, in
    `time_zone`), among those uploaded in the last `days`, but not in the last `minutes`, which may be on their way
    yet. Pictures of these days that were there before the function was count as lost. Null: never.
  EOT
  type = object({
    schedule  = optional(string, "17 3 * * *")
    time_zone = optional(string, "Etc/UTC")
    days      = optional(number, 3)
    minutes   = optional(number, 60)
  })
  default = null
}

variable "budget" {
  description = "A monthly budget for the project, with notices at 50, 90 and 100 %: `billing_account` (XXXXXX-XXXXXX-XXXXXX) and `amount` in that account's currency. Null: none."
  type = object({
    billing_account = string
    amount          = number
  })
  default = null
}

variable "google_cloud_project" {
  description = "Id of the project that everything is made in."
  type        = string
  nullable    = false
}

variable "model" {
  description = "Model, as <publisher>/<id> on Vertex AI (Gemini also without publisher), or as the server at openai_base_url calls it. Null: google/gemini-3.5-flash-lite on Vertex AI."
  type        = string
  default     = null
}

variable "models" {
  description = "Models to fall back on, in this order: at once where one is retired or unknown, and after fallback_after_seconds where it only refuses."
  type        = list(string)
  default     = null
}

variable "fallback_after_seconds" {
  description = "Seconds that a model may refuse an image (out of quota, overloaded, forbidden) until the next of `models` is asked. A request that may have been paid is never repeated so."
  type        = number
  default     = null
}

variable "model_location" {
  description = "Where the model is called: global, us, eu or a region. Not the function's region: current Gemini models are sold by the token at global, us and eu only."
  type        = string
  default     = null
}

variable "check_model_location" {
  description = "Whether to refuse a model_location where the model is not sold by the token, or on another continent than the function."
  type        = bool
  default     = null
}

variable "openai_base_url" {
  description = "An OpenAI-compatible server in place of Vertex AI, such as https://api.openai.com/v1. Null: Vertex AI."
  type        = string
  default     = null
}

variable "openai_api_key" {
  description = "Secret Manager secret that holds the key for openai_base_url: `secret` (its name), `version` and, if it is elsewhere, `project`. The key itself is never given to Terraform."
  type = object({
    secret  = string
    version = optional(string, "latest")
    project = optional(string)
  })
  default = null
}

variable "model_server" {
  description = "Kind of server at openai_base_url, which tells what it takes: vertex, gemini, openai, llama.cpp, vllm, ollama, lmstudio, litellm or unknown. auto: told from the address."
  type        = string
  default     = null
}

variable "image_input" {
  description = "How images reach the model: uri sends gs://, inline sends bytes, auto chooses."
  type        = string
  default     = null
}

variable "image_detail" {
  description = "How closely the model looks at an image, and so what it costs: auto, low, high or original, as far as the server knows it; on Vertex AI low or high. Null: the model's own."
  type        = string
  default     = null
}

variable "firestore_database" {
  description = "Database that holds the records."
  type        = string
  default     = null
}

variable "firestore_collection" {
  description = "Collection that holds the records, one document per object."
  type        = string
  default     = null
}

variable "prompt" {
  description = "What the model is asked. Null: the function's own."
  type        = string
  default     = null
}

variable "description_language" {
  description = "Language of the descriptions, as a BCP-47 tag; or several, separated by commas, of which the first is the description's."
  type        = string
  default     = null
}

# Old name. Of a value for a variable that is not declared Terraform only warns where it stands in a
# tfvars file, and says nothing at all of TF_VAR_language.
variable "language" {
  description = "Renamed to description_language."
  type        = string
  default     = null

  validation {
    condition     = var.language == null
    error_message = "language is called description_language now, as LANGUAGE is a variable of gettext's: rename it where it is set. In profiles it is still language."
  }
}

variable "max_output_tokens" {
  description = "Most tokens of one description. Thinking counts too: below some hundred the text may be empty."
  type        = number
  default     = null
}

variable "reasoning_effort" {
  description = "How much a model that thinks may think: none, minimal, low, medium, high or xhigh, as far as model and server know it. Null: the model's own."
  type        = string
  default     = null
}

variable "outputs" {
  description = "What is asked for besides the description, in one JSON object with it: any of alt_text, decorative, text_in_image and tags."
  type        = list(string)
  default     = null
}

variable "tags" {
  description = "The only tags there are, where tags are asked for. None: any."
  type        = list(string)
  default     = null
}

variable "alt_text_characters" {
  description = "Longest alternative text in characters."
  type        = number
  default     = null
}

variable "use_metadata" {
  description = "Metadata that the prompt quotes, as data: at most 20 of custom:KEY, custom:KEY=KIND, and the fields of EXIF, IPTC and XMP in docs/metadata.md, such as iptc:City. What is quoted leaves the project with the picture."
  type        = list(string)
  default     = null
}

variable "profiles" {
  description = "Settings for some names only: the first `pattern` (a glob) that matches an object's name replaces prompt, language, model, models, max_output_tokens, outputs, tags or use_metadata."
  type = list(object({
    pattern           = string
    prompt            = optional(string)
    language          = optional(string)
    model             = optional(string)
    models            = optional(list(string))
    max_output_tokens = optional(number)
    outputs           = optional(list(string))
    tags              = optional(list(string))
    use_metadata      = optional(list(string))
  }))
  default = null
}

variable "reuse" {
  description = "Whether an image of the same bytes as a described one gets its text, at no cost, where prompt and model are the same."
  type        = bool
  default     = null
}

variable "daily_limit" {
  description = "Calls of the model a day (UTC), over all instances; above it the outcome is over_limit. No limit by default."
  type        = number
  default     = null
}

variable "delete_records" {
  description = "Whether the record of a deleted object is deleted, unless a person wrote its description."
  type        = bool
  default     = null
}

variable "events_topic" {
  description = "Id of a Pub/Sub topic, made here, that gets a CloudEvent for each record that is finished or deleted. Null: none."
  type        = string
  default     = null
}

variable "name_include" {
  description = "Globs on the object's name; if there are any, only names that match one are described."
  type        = list(string)
  default     = null
}

variable "name_exclude" {
  description = "Globs on the object's name; names that match one are not described."
  type        = list(string)
  default     = null
}

variable "max_image_bytes" {
  description = "Largest image in bytes that is read; above it the outcome is too_large. What is too large to send is scaled down."
  type        = number
  default     = null
}

variable "max_image_pixels" {
  description = "Most pixels of an image, by what it says of itself; above it the outcome is too_large."
  type        = number
  default     = null
}

variable "max_image_side" {
  description = "Longest side, in pixels, of an image that is converted or scaled down."
  type        = number
  default     = null
}

variable "flush_seconds" {
  description = "Least seconds between two writes of partial text. Each is a billed write."
  type        = number
  default     = null
}

variable "stream_timeout_seconds" {
  description = "Seconds that one description may take in all."
  type        = number
  default     = null
}

variable "chunk_timeout_seconds" {
  description = "Seconds of silence between two pieces of text after which the stream counts as broken."
  type        = number
  default     = null
}

variable "lease_seconds" {
  description = "Seconds after its last sign of life until a delivery's claim on an image is free again."
  type        = number
  default     = null
}

variable "max_attempts" {
  description = "Tries in which the model began (and so may have been paid) after which an image is given up; others are bounded by age alone."
  type        = number
  default     = null
}

variable "max_event_age_seconds" {
  description = "Age of an event in seconds after which its image is given up. Redelivery ends after 24 hours, and the last one must still find the time to record."
  type        = number
  default     = null
}

variable "log_level" {
  description = "Least severity that is logged."
  type        = string
  default     = null
}

variable "traces_endpoint" {
  description = "Where traces are sent by OTLP over HTTP, such as https://telemetry.googleapis.com/v1/traces for Cloud Trace. Null: no traces."
  type        = string
  default     = null
}

variable "traces_ratio" {
  description = "Share of deliveries that are traced."
  type        = number
  default     = null
}

# The one variable that is not the module's: only a root may import.
variable "adopt_rules" {
  description = "Whether the database's security rules have been released before, by the console, the Firebase CLI or an earlier deployment, so that the release is taken over instead of made. Only the apply that takes it over needs this; later ones ignore it."
  type        = bool
  default     = false
  nullable    = false
}
