# Where and how it runs. The function's own settings are in variables-settings.tf.

variable "region" {
  description = "Region of the function, its builds and, unless said otherwise, the bucket and the database."
  type        = string
  default     = "us-central1"
  nullable    = false

  validation {
    condition     = length(regexall("^[a-z]+-[a-z]+[0-9]+$", var.region)) > 0
    error_message = "region is \"${var.region}\": expected a region such as us-central1 or europe-west1."
  }
}

variable "name" {
  description = "Name of the function, and the beginning of every other name. Lower case letters, digits and hyphens, 3 to 20 characters."
  type        = string
  default     = "describer"
  nullable    = false

  # 20: a service account's name has 30 characters, and ours end in -trigger.
  validation {
    condition     = length(regexall("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name)) > 0
    error_message = "name is \"${var.name}\": expected 3 to 20 lower case letters, digits and hyphens, beginning with a letter and not ending in a hyphen."
  }
}

variable "labels" {
  description = "Labels on everything that takes labels."
  type        = map(string)
  default     = { app = "describer" }
  nullable    = false

  validation {
    condition = alltrue([for key, value in var.labels :
      length(regexall("^[a-z][a-z0-9_-]{0,62}$", key)) > 0 && length(regexall("^[a-z0-9_-]{0,63}$", value)) > 0
    ])
    error_message = "labels: expected keys and values of at most 63 lower case letters, digits, hyphens and underscores, each key beginning with a letter."
  }
}

variable "deployers" {
  description = "Members (user:, group:, serviceAccount:, principal:) that may deploy as the three service accounts, if they do not own the project."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.deployers : length(regexall("^(user|group|serviceAccount|principal|principalSet):\\S+$", member)) > 0])
    error_message = "deployers: expected members such as user:ada@example.com; the whole internet cannot deploy."
  }
}

# --- Buckets -----------------------------------------------------------------------------------

variable "bucket_name" {
  description = "Bucket whose uploads are described. Null: <google_cloud_project>-<name>-images."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || length(regexall("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.bucket_name == null ? "unset" : var.bucket_name)) > 0
    error_message = "bucket_name: expected a bucket's name without gs://."
  }

  validation {
    condition     = var.create_bucket || var.bucket_name != null
    error_message = "create_bucket is false, so bucket_name must name a bucket that exists."
  }
}

variable "create_bucket" {
  description = "Whether the bucket `bucket_name` is made here. False: it exists, and its location is read from it."
  type        = bool
  default     = true
  nullable    = false
}

variable "bucket_location" {
  description = "Location of the bucket: a region, a dual-region such as nam4, or us, eu, asia. It never moves once the bucket is made. Null: the region of the function at that time; read from the bucket if it is not made here."
  type        = string
  default     = null

  validation {
    condition     = length(regexall("^([a-z]+-[a-z]+[0-9]+|us|eu|asia|[a-z]+[0-9]+)$", lower(var.bucket_location == null ? "us" : var.bucket_location))) > 0
    error_message = "bucket_location: expected a region (us-central1), a dual-region (nam4) or a multi-region (us, eu, asia)."
  }
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
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for key, bucket in var.buckets : length(regexall("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", bucket.name == null ? key : bucket.name)) > 0])
    error_message = "buckets: expected a bucket's name, without gs://, as each key or its `name`."
  }

  validation {
    condition = length(distinct(concat(
      [var.bucket_name == null ? "${replace(var.google_cloud_project, "/[.:]/", "-")}-${var.name}-images" : var.bucket_name],
      [for key, bucket in var.buckets : bucket.name == null ? key : bucket.name],
    ))) == length(var.buckets) + 1
    error_message = "buckets: each bucket once only, and not bucket_name again; a second trigger would deliver every event twice."
  }

  validation {
    condition     = alltrue([for bucket in values(var.buckets) : length(regexall("^([a-z]+-[a-z]+[0-9]+|us|eu|asia|[a-z]+[0-9]+)$", lower(bucket.location == null ? "us" : bucket.location))) > 0])
    error_message = "buckets: expected a region (us-central1), a dual-region (nam4) or a multi-region (us, eu, asia) as `location`."
  }
}

variable "delete_data_on_destroy" {
  description = "Whether `terraform destroy` deletes the buckets with all images and the database with all records. False: both are left where they are, and only forgotten."
  type        = bool
  default     = false
  nullable    = false
}

# --- Firestore ---------------------------------------------------------------------------------

variable "create_database" {
  description = "Whether the database `firestore_database` is made here. False: it exists."
  type        = bool
  default     = true
  nullable    = false
}

variable "firestore_location" {
  description = "Location of the database made here: a region, nam5 or eur3. It never moves once the database is made. Null: the region of the function at that time."
  type        = string
  default     = null

  validation {
    condition     = length(regexall("^([a-z]+-[a-z]+[0-9]+|nam5|nam7|eur3)$", var.firestore_location == null ? "nam5" : var.firestore_location)) > 0
    error_message = "firestore_location: expected a region (us-central1), nam5, nam7 or eur3."
  }

  validation {
    condition     = var.create_database || var.firestore_location == null
    error_message = "firestore_location: the database exists (create_database is false) and cannot move; leave this out."
  }
}

variable "point_in_time_recovery" {
  description = "Whether the database made here keeps seven days of versions. Storage for them is billed."
  type        = bool
  default     = true
  nullable    = false
}

variable "record_ttl_days" {
  description = "Days after which a finished record is deleted by Firestore, within about a day and billed as a delete. Null: never."
  type        = number
  default     = null

  # A record must outlive the last redelivery of its event, or the image would be paid for twice.
  validation {
    condition     = contains(range(2, 1025), var.record_ttl_days == null ? 2 : var.record_ttl_days)
    error_message = "record_ttl_days: expected a whole number from 2 to 1024, or null."
  }
}

variable "readers" {
  description = "Who may read records from a web or mobile client: none, signed_in (any Firebase Authentication user, anonymous ones too) or public."
  type        = string
  default     = "none"
  nullable    = false

  validation {
    condition     = contains(["none", "signed_in", "public"], var.readers)
    error_message = "readers is \"${var.readers}\": expected none, signed_in or public."
  }

  # The gallery goes by it all the same: whether one has to sign in.
  validation {
    condition     = var.readers == "none" || coalesce(var.manage_rules, var.create_database) || var.enable_gallery
    error_message = "readers: security rules are not managed here (see manage_rules), so this would have no effect; take the output firestore_rules into your own rules."
  }

  validation {
    condition     = var.readers != "none" || !var.enable_gallery
    error_message = "readers is \"none\" with enable_gallery, so that the gallery would show nobody anything: expected signed_in or public."
  }
}

variable "writers" {
  description = "Verified e-mail addresses of Firebase Authentication users who may approve finished records, or put words of their own in place of the model's (`source` person), and nothing else. `readers` must let them read."
  type        = list(string)
  default     = []
  nullable    = false

  # Nothing that could end the quotes in which the rules have it.
  validation {
    condition     = alltrue([for address in var.writers : length(regexall("^[A-Za-z0-9.!#%&*+/=?^_{|}~-]+@[A-Za-z0-9.-]+$", address)) == 1])
    error_message = "writers: expected e-mail addresses, such as ada@example.com."
  }

  validation {
    condition     = length(var.writers) == 0 || var.readers != "none"
    error_message = "writers: readers is \"none\", so that nobody sees what there is to correct."
  }
}

variable "manage_rules" {
  description = "Whether the database's security rules are replaced by those of `readers`: all of them, for every collection. Null: only if the database is made here."
  type        = bool
  default     = null
}

# --- Function ----------------------------------------------------------------------------------

variable "runtime" {
  description = "Python runtime of the function."
  type        = string
  default     = "python313"
  nullable    = false

  # https://docs.cloud.google.com/run/docs/runtimes/python
  validation {
    condition     = contains(["python311", "python312", "python313", "python314"], var.runtime)
    error_message = "runtime is \"${var.runtime}\": expected python311, python312, python313 or python314."
  }
}

variable "timeout_seconds" {
  description = "Seconds that one delivery may take. The whole stream and 120 s for the rest must fit."
  type        = number
  default     = 360
  nullable    = false

  # 540: the platform's limit for event-driven functions, and below the 600 s within which a push
  # must be acknowledged.
  # https://cloud.google.com/functions/quotas#time_limits
  validation {
    condition     = var.timeout_seconds >= 60 && var.timeout_seconds <= 540 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds is ${var.timeout_seconds}: expected a whole number of seconds from 60 to 540."
  }

  validation {
    condition     = var.timeout_seconds >= var.stream_timeout_seconds + 120
    error_message = "timeout_seconds is ${var.timeout_seconds}, stream_timeout_seconds ${var.stream_timeout_seconds}: expected at least 120 s more, for claim, the wait for memory, and record."
  }
}

variable "available_memory" {
  description = "Memory of an instance, such as 512Mi or 1Gi. Images read here take at most 150 MB of it at a time, their conversion 96 MB; others wait."
  type        = string
  default     = "512Mi"
  nullable    = false

  validation {
    condition     = contains(["256Mi", "512Mi", "1Gi", "2Gi", "4Gi", "8Gi", "16Gi", "32Gi"], var.available_memory)
    error_message = "available_memory is \"${var.available_memory}\": expected 256Mi, 512Mi, 1Gi, 2Gi, 4Gi, 8Gi, 16Gi or 32Gi."
  }
}

variable "available_cpu" {
  description = "Virtual CPUs of an instance: a fraction such as 0.333, or 1, 2, 4, 6, 8."
  type        = string
  default     = "1"
  nullable    = false

  validation {
    condition     = length(regexall("^(0\\.(0[89]|[1-9])[0-9]{0,3}|1|2|4|6|8)$", var.available_cpu)) > 0
    error_message = "available_cpu is \"${var.available_cpu}\": expected 0.08 to 0.999, or 1, 2, 4, 6 or 8."
  }
}

variable "concurrency" {
  description = "Images that one instance describes at once. Nearly all of the time is spent waiting for the model."
  type        = number
  default     = 80
  nullable    = false

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000 && floor(var.concurrency) == var.concurrency
    error_message = "concurrency is ${var.concurrency}: expected a whole number from 1 to 1000."
  }

  # https://cloud.google.com/functions/docs/configuring/concurrency
  validation {
    condition     = var.concurrency == 1 || length(regexall("^[1-9]", var.available_cpu)) > 0
    error_message = "concurrency is ${var.concurrency} with available_cpu ${var.available_cpu}: more than one at a time asks for at least 1 CPU."
  }
}

variable "min_instances" {
  description = "Instances kept warm. Each is billed while idle."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.min_instances >= 0 && floor(var.min_instances) == var.min_instances && var.min_instances <= var.max_instances
    error_message = "min_instances is ${var.min_instances}, max_instances ${var.max_instances}: expected a whole number from 0 to max_instances."
  }
}

variable "max_instances" {
  description = "Most instances at once. Times `concurrency`, the ceiling on simultaneous model calls."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances is ${var.max_instances}: expected a whole number from 1 to 1000."
  }
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
  default  = {}
  nullable = false

  validation {
    condition     = var.vpc.network == null || var.vpc.connector == null
    error_message = "vpc: either a network or a connector, not both."
  }

  validation {
    condition     = var.vpc.network != null || (var.vpc.subnetwork == null && var.vpc.tags == null)
    error_message = "vpc: subnetwork and tags go with network."
  }

  validation {
    condition     = contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], var.vpc.egress)
    error_message = "vpc: egress is \"${var.vpc.egress}\": expected ALL_TRAFFIC or PRIVATE_RANGES_ONLY."
  }
}

variable "worker_pool" {
  description = "Private pool that builds the function, as projects/P/locations/L/workerPools/W, where an organisation allows no other. Null: Google's own."
  type        = string
  default     = null

  validation {
    condition     = length(regexall("^projects/[^/]+/locations/[^/]+/workerPools/[^/]+$", var.worker_pool == null ? "projects/p/locations/l/workerPools/w" : var.worker_pool)) > 0
    error_message = "worker_pool: expected projects/P/locations/L/workerPools/W."
  }
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
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for key in values(var.kms_keys) : length(regexall("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", key == null ? "projects/p/locations/l/keyRings/r/cryptoKeys/k" : key)) > 0])
    error_message = "kms_keys: expected projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }

  validation {
    condition     = var.kms_keys.function == null || strcontains(var.kms_keys.function == null ? "-" : var.kms_keys.function, "/locations/${var.region}/")
    error_message = "kms_keys: the key of the function must be at ${var.region}, where the function is."
  }

  validation {
    condition     = var.kms_keys.bucket == null || strcontains(var.kms_keys.bucket == null ? "-" : var.kms_keys.bucket, "/locations/${lower(coalesce(var.bucket_location, var.region))}/")
    error_message = "kms_keys: the key of the bucket must be at ${lower(coalesce(var.bucket_location, var.region))}, where the bucket is; if region has changed since it was made, name its place in bucket_location."
  }

  validation {
    condition = var.kms_keys.bucket == null || alltrue([for bucket in values(var.buckets) :
      strcontains(var.kms_keys.bucket == null ? "-" : var.kms_keys.bucket, "/locations/${lower(coalesce(bucket.location, var.region))}/") if bucket.create
    ])
    error_message = "kms_keys: one key serves all the buckets made here, so all of them must be where it is."
  }

  # https://cloud.google.com/firestore/docs/cmek
  validation {
    condition = var.kms_keys.database == null || strcontains(var.kms_keys.database == null ? "-" : var.kms_keys.database, "/locations/${
      lookup({ nam5 = "us", nam7 = "us", eur3 = "europe" }, coalesce(var.firestore_location, var.region), coalesce(var.firestore_location, var.region))
    }/")
    error_message = "kms_keys: the key of the database must be where the database is; us for nam5 and nam7, europe for eur3. If region has changed since it was made, name its place in firestore_location."
  }

  validation {
    condition     = var.kms_keys.database == null || var.create_database
    error_message = "kms_keys: the database exists (create_database is false), and an existing one cannot be given a key."
  }
}

# --- The gallery -------------------------------------------------------------------------------

variable "enable_gallery" {
  description = "Whether the gallery is deployed: a page of the records for whom `readers` lets read, with corrections and uploads for `writers`. Its page is built before, by `make gallery`."
  type        = bool
  default     = false
  nullable    = false
}

variable "gallery_page" {
  description = "Folder of the built page. Null: where `make gallery` leaves it, .cache/web of the repository."
  type        = string
  default     = null

  validation {
    condition     = length(fileset(var.gallery_page == null ? path.module : var.gallery_page, "*")) > 0
    error_message = "gallery_page: expected a folder with the built page."
  }
}

variable "manage_sign_in" {
  description = "Whether Identity Platform is set up where the gallery asks for it: sign-in with address and password, for accounts that you make. False: the project's sign-in is set up elsewhere, and stays as it is."
  type        = bool
  default     = true
  nullable    = false
}

# --- Watching and paying -----------------------------------------------------------------------

variable "alerts" {
  description = "Whether alert policies are made. Metrics and dashboard are made in any case."
  type        = bool
  default     = true
  nullable    = false
}

variable "alert_emails" {
  description = "Addresses that alerts and budget notices are sent to."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : length(regexall("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address)) > 0])
    error_message = "alert_emails: expected addresses such as ada@example.com."
  }

  validation {
    condition     = length(var.alert_emails) == length(distinct(var.alert_emails))
    error_message = "alert_emails: each address once only."
  }
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
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for share in [var.alert_thresholds.error_share, var.alert_thresholds.blocked_share, var.alert_thresholds.throttled_share] : share > 0 && share <= 1])
    error_message = "alert_thresholds: expected shares above 0 and up to 1."
  }

  validation {
    condition     = alltrue([for value in values(var.alert_thresholds) : value > 0])
    error_message = "alert_thresholds: expected numbers above 0."
  }
}

variable "price_per_million_tokens" {
  description = "Price of a million tokens in and out, for the spend estimate. Thinking is charged as output. The default is the list price of the default model in US dollars, in late 2026."
  type = object({
    input  = optional(number, 0.30)
    output = optional(number, 2.50)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.price_per_million_tokens.input >= 0 && var.price_per_million_tokens.output >= 0
    error_message = "price_per_million_tokens: expected prices of 0 or more."
  }
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

  validation {
    condition     = var.backfill_queue == null || ((var.backfill_queue == null ? 1 : var.backfill_queue.per_second) > 0 && (var.backfill_queue == null ? 1 : var.backfill_queue.per_second) <= 500)
    error_message = "backfill_queue: expected per_second above 0, at most 500."
  }

  validation {
    condition     = var.backfill_queue == null || ((var.backfill_queue == null ? 1 : var.backfill_queue.at_once) >= 1 && (var.backfill_queue == null ? 1 : var.backfill_queue.at_once) <= 5000)
    error_message = "backfill_queue: expected at_once from 1 to 5000."
  }

  validation {
    condition     = alltrue([for member in(var.backfill_queue == null ? [] : var.backfill_queue.operators) : length(regexall("^(user|group|serviceAccount):[^ ]+@[^ ]+$", member)) > 0])
    error_message = "backfill_queue: expected operators such as user:ada@example.com, group:... or serviceAccount:..."
  }
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

  validation {
    condition     = length(regexall("^(\\S+\\s+){4}\\S+$", var.reconcile == null ? "* * * * *" : var.reconcile.schedule)) > 0
    error_message = "reconcile: expected a schedule of five fields, such as \"17 3 * * *\"."
  }

  validation {
    condition = (
      (var.reconcile == null ? 1 : var.reconcile.days) >= 1 && (var.reconcile == null ? 1 : var.reconcile.days) <= 365
      && (var.reconcile == null ? 60 : var.reconcile.minutes) >= 10 && (var.reconcile == null ? 60 : var.reconcile.minutes) <= 1440
    )
    error_message = "reconcile: expected days from 1 to 365, and minutes from 10 to 1440."
  }

  # A record that its time to live has ended looks like one that was lost, and would be paid for again.
  validation {
    condition     = (var.reconcile == null ? 0 : var.reconcile.days) <= (var.record_ttl_days == null ? 365 : var.record_ttl_days)
    error_message = "reconcile looks at the pictures of ${var.reconcile == null ? 0 : var.reconcile.days} days, whose records go after record_ttl_days of ${var.record_ttl_days == null ? 365 : var.record_ttl_days}: expected days of at most that, or each would be described anew."
  }
}

variable "budget" {
  description = "A monthly budget for the project, with notices at 50, 90 and 100 %: `billing_account` (XXXXXX-XXXXXX-XXXXXX) and `amount` in that account's currency. Null: none."
  type = object({
    billing_account = string
    amount          = number
  })
  default = null

  validation {
    condition     = var.budget == null || length(regexall("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget == null ? "" : var.budget.billing_account)) > 0
    error_message = "budget: expected a billing_account such as 01AB23-45CD67-89EF01."
  }

  validation {
    condition     = var.budget == null || (var.budget == null ? 1 : var.budget.amount) >= 1
    error_message = "budget: expected an amount of at least 1."
  }
}
