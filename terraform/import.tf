# A release of security rules is made only where there is none; with one, apply ends in "Resource already
# exists". A database that Terraform forgot has one, and a project that is fresh may have one as well.
# https://github.com/hashicorp/terraform-provider-google/issues/13235
# https://github.com/hashicorp/terraform-provider-google/issues/20917
import {
  for_each = toset(var.adopt_rules && coalesce(var.manage_rules, var.create_database, true) ? ["records"] : [])

  to = module.describer.google_firebaserules_release.records[0]
  id = join("/", compact([
    "projects/${var.google_cloud_project}/releases/cloud.firestore",
    coalesce(var.firestore_database, "(default)") == "(default)" ? "" : var.firestore_database,
  ]))
}
