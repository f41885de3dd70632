# The function logs one line per delivery; all that is counted here comes from it.

locals {
  delivery = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${var.name}\"",
    "resource.labels.location=\"${var.region}\"",
    "jsonPayload.message=\"delivery\"",
  ])

  finished = ["described", "truncated", "empty", "blocked", "unsupported", "too_large", "unreadable", "gone", "rejected", "over_limit", "gave_up"]
  # Failures that are the system's or the image's, not the model's refusal, a deleted object or the brake.
  failed = ["empty", "unsupported", "too_large", "unreadable", "rejected", "gave_up"]

  distributions = {
    first_text_seconds = {
      title  = "Seconds to first text"
      unit   = "s"
      filter = "jsonPayload.outcome=(\"described\" OR \"truncated\")"
      bucket = { growth = 1.4, finite = 30, scale = 0.1 }
    }
    total_seconds = {
      title  = "Seconds to the finished record"
      unit   = "s"
      filter = "jsonPayload.outcome=(\"described\" OR \"truncated\")"
      bucket = { growth = 1.4, finite = 30, scale = 0.1 }
    }
    # Age of the event at each delivery that left its record unfinished.
    event_age_seconds = {
      title  = "Age of unfinished events"
      unit   = "s"
      filter = "jsonPayload.outcome=(\"retry\" OR \"lease_held\" OR \"lease_lost\" OR \"no_room\" OR \"unpublished\")"
      bucket = { growth = 2, finite = 20, scale = 1 }
    }
    # Whatever the outcome: what a broken attempt used is paid for as well.
    prompt_tokens = {
      title  = "Tokens in"
      unit   = "1"
      filter = "jsonPayload.total_tokens>0"
      bucket = { growth = 2, finite = 24, scale = 1 }
    }
    total_tokens = {
      title  = "Tokens in all"
      unit   = "1"
      filter = "jsonPayload.total_tokens>0"
      bucket = { growth = 2, finite = 24, scale = 1 }
    }
  }

  # How Cloud Monitoring spells a log-based metric in PromQL.
  # https://cloud.google.com/monitoring/promql/promql-mapping
  promql = replace("logging_googleapis_com:user_${var.name}_", "-", "_")

  # A log-based metric may come with any monitored resource, so a query has to say which.
  revision = "monitored_resource=\"cloud_run_revision\""

  any_finished = "outcome=~\"${join("|", local.finished)}\""
  # Every delivery that asked the model.
  asked = "outcome=~\"described|truncated|empty|blocked|rejected|retry|gave_up\""

  query = {
    finished_1h = "sum(increase(${local.promql}deliveries{${local.revision}, ${local.any_finished}}[1h]))"
    failed_1h   = "sum(increase(${local.promql}deliveries{${local.revision}, outcome=~\"${join("|", local.failed)}\"}[1h]))"
    blocked_1h  = "sum(increase(${local.promql}deliveries{${local.revision}, outcome=\"blocked\"}[1h]))"
    throttled   = "sum(increase(${local.promql}deliveries{${local.revision}, error_status=~\"429.*\"}[1h]))"
    asked_1h    = "sum(increase(${local.promql}deliveries{${local.revision}, ${local.asked}}[1h]))"
    p50_first   = "histogram_quantile(0.5, sum by (le) (increase(${local.promql}first_text_seconds_bucket{${local.revision}}[1h])))"
    p95_first   = "histogram_quantile(0.95, sum by (le) (increase(${local.promql}first_text_seconds_bucket{${local.revision}}[1h])))"
    p50_total   = "histogram_quantile(0.5, sum by (le) (increase(${local.promql}total_seconds_bucket{${local.revision}}[1h])))"
    p95_total   = "histogram_quantile(0.95, sum by (le) (increase(${local.promql}total_seconds_bucket{${local.revision}}[1h])))"
    p99_age     = "histogram_quantile(0.99, sum by (le) (increase(${local.promql}event_age_seconds_bucket{${local.revision}}[10m])))"
    tokens_1d   = "sum(increase(${local.promql}total_tokens_sum{${local.revision}}[1d]))"
    # Total less prompt, not the model's own count of completion tokens, which leaves out thinking.
    spend_1d = join("", [
      "(${var.price_per_million_tokens.input} * sum(increase(${local.promql}prompt_tokens_sum{${local.revision}}[1d]))",
      " + ${var.price_per_million_tokens.output} * (sum(increase(${local.promql}total_tokens_sum{${local.revision}}[1d]))",
      " - sum(increase(${local.promql}prompt_tokens_sum{${local.revision}}[1d])))) / 1000000",
    ])
  }

  limit = var.alert_thresholds

  unacked         = "pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource=\"pubsub_subscription\", subscription_id=~\"${local.subscriptions}\"}"
  unfinished_help = "An image was uploaded more than ${local.limit.unfinished_seconds} s ago and has no finished record yet. Lines with `jsonPayload.outcome=\"retry\"` name the cause. It is given up after ${var.max_attempts} attempts or ${var.max_event_age_seconds} s."

  # One image of two is half; said of two images it means little.
  enough = "and ${local.query.finished_1h} >= ${local.limit.min_images}"

  line_alerts = merge(var.reconcile == null ? {} : {
    lost = {
      title = "Something was lost on the way"
      help  = "Lines with `jsonPayload.outcome=\"lost\"` in the logs of ${var.name} say how many of what, and how they ended: the function has done them by now, but for what `jsonPayload.delivered` counts as `retry`, `lease_held`, `no_room` or `unpublished`, which the next run finds again. Find out why they were lost: look at the triggers, at their subscriptions, and at the time of the uploads."
    }
    }, {
    gave_up = {
      title = "An image was given up"
      help  = "Find the lines with `jsonPayload.outcome=\"gave_up\"` in the logs of ${var.name}; each names its object. When the cause is gone, upload the object again or run a backfill over its prefix."
    }
    over_limit = {
      title = "The day's limit on calls of the model is reached"
      help  = "Until midnight UTC no further image is described: the records say `over_limit`. Raise daily_limit if the uploads are wanted, and find who uploads if they are not. Such images are described when their record is deleted and they are uploaded again."
    }
    defect = {
      title = "The function failed in a way it has no answer for"
      help  = "Find the lines with `jsonPayload.outcome=\"defect\"` in the logs of ${var.name}; each names its object. The event is delivered again for a day; please report what the line says."
    }
  })

  query_alerts = {
    # No delivery says "this is the oldest", but Pub/Sub knows it: whatever may work later is answered
    # with 5xx and stays unacknowledged until its record is finished, so the age of the oldest
    # unacknowledged message is the age of the oldest unfinished record. It counts events that never
    # reached the function too, which no log line could.
    unfinished = {
      title = "An upload waits for its description"
      query = "max by (subscription_id) (${local.unacked}) > ${local.limit.unfinished_seconds}"
      help  = local.unfinished_help
    }
    # The age at each unfinished delivery, which does not rest on the subscriptions' names.
    late_delivery = {
      title = "An unfinished upload is delivered late"
      query = "${local.query.p99_age} > ${local.limit.unfinished_seconds}"
      help  = local.unfinished_help
    }
    error_share = {
      title = "Many images end without a description"
      query = "${local.query.failed_1h} / ${local.query.finished_1h} > ${local.limit.error_share} ${local.enough}"
      help  = "More than ${local.limit.error_share * 100} % of the images finished in the last hour ended as ${join(", ", local.failed)}. The dashboard shows which; `status.message` of a record says why."
    }
    blocked_share = {
      title = "Many images are refused by the safety filter"
      query = "${local.query.blocked_1h} / ${local.query.finished_1h} > ${local.limit.blocked_share} ${local.enough}"
      help  = "More than ${local.limit.blocked_share * 100} % of the images finished in the last hour were blocked. Look at the images, then at the prompt."
    }
    throttled_share = {
      title = "The model throttles"
      query = "${local.query.throttled} / ${local.query.asked_1h} > ${local.limit.throttled_share} ${local.enough}"
      help  = "More than ${local.limit.throttled_share * 100} % of the calls in the last hour were answered with 429. They are tried again for ${floor(var.max_event_age_seconds / 3600)} hours. If it lasts, lower max_instances or concurrency, or buy throughput."
    }
    first_text = {
      title = "First text comes late"
      query = "${local.query.p95_first} > ${local.limit.first_text_seconds} ${local.enough}"
      help  = "The 95th percentile of the time from delivery to first text was above ${local.limit.first_text_seconds} s over the last hour."
    }
    total_time = {
      title = "Descriptions take long"
      query = "${local.query.p95_total} > ${local.limit.total_seconds} ${local.enough}"
      help  = "The 95th percentile of the time from delivery to finished record was above ${local.limit.total_seconds} s over the last hour."
    }
    tokens = {
      title = "Many tokens in a day"
      query = "${local.query.tokens_1d} > ${local.limit.tokens_per_day}"
      help  = "More than ${local.limit.tokens_per_day} tokens were paid for in the last 24 hours."
    }
    spend = {
      title = "Estimated spend of a day"
      query = "${local.query.spend_1d} > ${local.limit.spend_per_day}"
      help  = "Tokens of the last 24 hours at the prices in price_per_million_tokens come to more than ${local.limit.spend_per_day}. An estimate: only the bill is exact."
    }
  }

  # The subscription of a trigger is eventarc-<location>-<trigger>-sub-<digits>, and the function's own
  # trigger is <function>-<digits>.
  subscriptions = "eventarc-(${join("|", sort(distinct(values(local.bucket_locations))))})-${var.name}-[0-9a-f]+-sub-.*"
}

resource "google_logging_metric" "deliveries" {
  project     = var.google_cloud_project
  name        = "${var.name}/deliveries"
  description = "Deliveries to the function, by what became of them."
  filter      = local.delivery

  label_extractors = {
    outcome      = "EXTRACT(jsonPayload.outcome)"
    error_status = "EXTRACT(jsonPayload.error_status)"
    error        = "EXTRACT(jsonPayload.error)"
    bucket       = "EXTRACT(jsonPayload.bucket)"
  }

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "INT64"
    unit         = "1"
    display_name = "Deliveries to ${var.name}"

    dynamic "labels" {
      for_each = {
        outcome      = "What became of the delivery."
        error_status = "HTTP status of the model's refusal, if it gave one."
        error        = "Class of the error, if there was one."
        bucket       = "The object's bucket."
      }
      content {
        key         = labels.key
        description = labels.value
      }
    }
  }

  depends_on = [time_sleep.services]
}

resource "google_logging_metric" "distributions" {
  for_each = local.distributions

  project         = var.google_cloud_project
  name            = "${var.name}/${each.key}"
  description     = each.value.title
  filter          = "${local.delivery} AND ${each.value.filter}"
  value_extractor = "EXTRACT(jsonPayload.${each.key})"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "DISTRIBUTION"
    unit         = each.value.unit
    display_name = "${each.value.title} (${var.name})"
  }

  bucket_options {
    exponential_buckets {
      growth_factor      = each.value.bucket.growth
      num_finite_buckets = each.value.bucket.finite
      scale              = each.value.bucket.scale
    }
  }

  depends_on = [time_sleep.services]
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  project      = var.google_cloud_project
  type         = "email"
  display_name = "${var.name}: ${each.key}"
  labels       = { email_address = each.key }
  user_labels  = var.labels

  depends_on = [time_sleep.services]
}

locals {
  channels = [for channel in google_monitoring_notification_channel.email : channel.name]
}

# Nobody will try these again, or only in vain, so each line counts. By the log itself, not by the metric
# made of it: a metric that has just been made answers 404 to a new policy for up to ten minutes, and a
# rate over a series that has just begun misses its first entry. Such a condition has to be the policy's
# only one, and asks for a limit on its notices.
# https://github.com/hashicorp/terraform-provider-google/issues/11102
# https://cloud.google.com/logging/docs/alerting/log-based-alerts#lba-create-api
resource "google_monitoring_alert_policy" "lines" {
  for_each = var.alerts ? local.line_alerts : {}

  project               = var.google_cloud_project
  display_name          = "${var.name}: ${lower(substr(each.value.title, 0, 1))}${substr(each.value.title, 1, -1)}"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.title
    condition_matched_log {
      filter = "${local.delivery} AND jsonPayload.outcome=\"${each.key}\""
    }
  }

  alert_strategy {
    auto_close = "86400s"
    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.help
  }

  depends_on = [time_sleep.services]
}

# By PromQL throughout, without a look whether the metric is there: a new one is not found for minutes.
# https://github.com/hashicorp/terraform-provider-google/issues/11102
resource "google_monitoring_alert_policy" "shares" {
  for_each = var.alerts ? local.query_alerts : {}

  project               = var.google_cloud_project
  display_name          = "${var.name}: ${lower(substr(each.value.title, 0, 1))}${substr(each.value.title, 1, -1)}"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.title
    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = "0s"
      evaluation_interval       = "300s"
      disable_metric_validation = true
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.help
  }

  depends_on = [time_sleep.services]
}

# The lines that are counted are logged at INFO.
check "deliveries_are_logged" {
  assert {
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "log_level is ${var.log_level}: successful deliveries are logged at INFO, so shares, times, tokens and spend on the dashboard would be wrong, and alerts on them silent."
  }
}

resource "google_billing_budget" "project" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "${var.name} in ${var.google_cloud_project}"

  budget_filter {
    projects = ["projects/${local.project_number}"]
  }

  amount {
    specified_amount {
      units = tostring(floor(var.budget.amount))
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }

  # The billing administrators are told in any case.
  dynamic "all_updates_rule" {
    for_each = length(var.alert_emails) == 0 ? [] : [slice(local.channels, 0, min(5, length(var.alert_emails)))]
    content {
      monitoring_notification_channels = all_updates_rule.value
    }
  }

  depends_on = [time_sleep.services]
}
