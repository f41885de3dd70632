# Security rules, budgets and service identities are refused for a person's own credentials unless a
# quota project is named.
# https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference#user_project_override
provider "google" {
  project               = var.google_cloud_project
  region                = var.region
  billing_project       = var.google_cloud_project
  user_project_override = true
}

provider "google-beta" {
  project               = var.google_cloud_project
  region                = var.region
  billing_project       = var.google_cloud_project
  user_project_override = true
}
