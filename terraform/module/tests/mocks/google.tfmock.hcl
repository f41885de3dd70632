# Well-formed values for what only Google would fill in.

mock_data "google_project" {
  defaults = {
    number = "123456789012"
  }
}

mock_data "google_storage_project_service_account" {
  defaults = {
    email_address = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
    member        = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
  }
}

mock_data "google_storage_bucket" {
  defaults = {
    location       = "EU"
    project_number = 123456789012
  }
}

mock_resource "google_cloudfunctions2_function" {
  defaults = {
    id  = "projects/test-project/locations/us-central1/functions/describer"
    url = "https://us-central1-test-project.cloudfunctions.net/describer"
  }
}

mock_resource "google_artifact_registry_repository" {
  defaults = {
    id   = "projects/test-project/locations/us-central1/repositories/describer"
    name = "describer"
  }
}

mock_resource "google_project_iam_custom_role" {
  defaults = {
    name = "projects/test-project/roles/describer_mock"
  }
}

mock_resource "google_monitoring_dashboard" {
  defaults = {
    id = "projects/123456789012/dashboards/0a1b2c3d"
  }
}

mock_resource "google_monitoring_notification_channel" {
  defaults = {
    name = "projects/test-project/notificationChannels/1234567890"
  }
}

mock_resource "google_firebaserules_ruleset" {
  defaults = {
    name = "0a1b2c3d-0000-4000-8000-000000000000"
  }
}

mock_resource "google_service_account" {
  defaults = {
    email  = "describer-mock@test-project.iam.gserviceaccount.com"
    member = "serviceAccount:describer-mock@test-project.iam.gserviceaccount.com"
    name   = "projects/test-project/serviceAccounts/describer-mock@test-project.iam.gserviceaccount.com"
  }
}
