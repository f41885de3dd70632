terraform {
  # 1.9: a validation may speak of another variable.
  required_version = ">= 1.9"

  required_providers {
    google = {
      source = "hashicorp/google"
      # 7.45: `deletion_policy = "ABANDON"` on buckets, and time to live counted from any timestamp.
      # Below 8: no plan here has been made with it, and the copies of its upgrade guide that could be read
      # name none of the resources used but need not be complete.
      # https://github.com/hashicorp/terraform-provider-google/blob/main/website/docs/guides/version_8_upgrade.html.markdown
      version = ">= 7.45, < 8"
    }
    # Only for google_project_service_identity, which the google provider lacks.
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 7.45, < 8"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.7, < 3"
    }
    time = {
      source  = "hashicorp/time"
      version = ">= 0.13, < 1"
    }
  }
}
