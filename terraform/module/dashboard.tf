locals {
  charts = [
    { title = "Finished images per minute, by outcome", unit = "1", queries = {
      "$${outcome}" = "sum by (outcome) (rate(${local.promql}deliveries{${local.revision}, ${local.any_finished}}[5m])) * 60"
    } },
    { title = "Unfinished deliveries per minute, by outcome", unit = "1", queries = {
      "$${outcome}" = "sum by (outcome) (rate(${local.promql}deliveries{${local.revision}, outcome!~\"${join("|", local.finished)}\"}[5m])) * 60"
    } },
    { title = "Given up in an hour", unit = "1", queries = {
      "given up" = "sum(increase(${local.promql}deliveries{${local.revision}, outcome=\"gave_up\"}[1h]))"
    } },
    { title = "Shares over an hour", unit = "1", queries = {
      "errors"        = "${local.query.failed_1h} / ${local.query.finished_1h}"
      "blocked"       = "${local.query.blocked_1h} / ${local.query.finished_1h}"
      "throttled 429" = "${local.query.throttled} / ${local.query.asked_1h}"
    } },
    { title = "Seconds to first text", unit = "s", queries = {
      "p50" = local.query.p50_first
      "p95" = local.query.p95_first
    } },
    { title = "Seconds to the finished record", unit = "s", queries = {
      "p50" = local.query.p50_total
      "p95" = local.query.p95_total
    } },
    { title = "Tokens paid for in 24 hours", unit = "1", queries = {
      "tokens" = local.query.tokens_1d
    } },
    { title = "Estimated spend in 24 hours", unit = "1", queries = {
      "spend" = local.query.spend_1d
    } },
    { title = "Age of unfinished events at their last delivery", unit = "s", queries = {
      "p99" = local.query.p99_age
    } },
    { title = "Age of the oldest upload without a finished record", unit = "s", queries = {
      "$${subscription_id}" = "max by (subscription_id) (${local.unacked})"
    } },
  ]

  chart_widgets = [for chart in local.charts : {
    title = chart.title
    xyChart = {
      dataSets = [for legend, query in chart.queries : {
        plotType       = "LINE"
        legendTemplate = legend
        timeSeriesQuery = {
          prometheusQuery = query
          unitOverride    = chart.unit
        }
      }]
    }
  }]

  log_widget = {
    title = "Deliveries that need a look"
    logsPanel = {
      resourceNames = ["projects/${var.google_cloud_project}"]
      filter        = "${local.delivery} AND severity>=WARNING"
    }
  }

  widgets = concat(local.chart_widgets, [local.log_widget])
}

# Zeros and empty values come back omitted, and the next plan would put them in again; so they are left
# out here.
# https://github.com/GoogleCloudPlatform/magic-modules/pull/18515
resource "google_monitoring_dashboard" "describer" {
  project = var.google_cloud_project
  dashboard_json = jsonencode(merge(
    {
      displayName = "Describer: ${var.name}"
      mosaicLayout = {
        columns = 12
        tiles = [for place, widget in local.widgets : merge(
          { width = 6, height = 4, widget = widget },
          place % 2 == 0 ? {} : { xPos = 6 },
          place < 2 ? {} : { yPos = floor(place / 2) * 4 },
        )]
      }
    },
    length(var.labels) == 0 ? {} : { labels = { for key, value in var.labels : key => value } },
  ))

  depends_on = [google_logging_metric.deliveries, google_logging_metric.distributions]
}
