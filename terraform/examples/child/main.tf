# The module in a configuration that is there already: one Describer for each project, after the
# project's own services. Providers, their quota project and the state are the caller's.
#
# Elsewhere the source is git::https://HOST/REPOSITORY.git//terraform/module?ref=VERSION: the whole
# repository is fetched, since the module deploys the program that lies beside it.

variable "projects" {
  description = "Ids of the projects, each with the language that its images are described in."
  type        = map(string)
  default     = { my-project = "en", my-other-project = "de" }
  nullable    = false
}

# With a person's own credentials, Google wants to know which project's quota is used (docs/deploy.md).
provider "google" {
  user_project_override = true
  billing_project       = keys(var.projects)[0]
}

provider "google-beta" {
  user_project_override = true
  billing_project       = keys(var.projects)[0]
}

resource "google_project_service" "first" {
  for_each = var.projects

  project            = each.key
  service            = "cloudresourcemanager.googleapis.com"
  disable_on_destroy = false
}

module "describer" {
  source   = "../../module"
  for_each = var.projects

  google_cloud_project = each.key
  description_language = each.value

  depends_on = [google_project_service.first]
}

output "buckets" {
  description = "Where to upload to, by project."
  value       = { for project, describer in module.describer : project => describer.bucket_names }
}
