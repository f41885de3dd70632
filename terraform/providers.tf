# Security rules, budgets and service identities are refused for a person's own credentials unless a
# quota project is named.
# https://github.com/hashicorp/terraform-provider-google/blob/main/website/docs/guides/provider_reference.html.markdown
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
