# A project that has the pictures and the database already. Both stay as they are: only the roles, the
# trigger and the index exemptions of one collection are added, and the security rules are left alone.
#
#   terraform apply -var-file=examples/existing.tfvars
#
# The project comes from terraform.tfvars (docs/deploy.md), over which this file wins: put the names of
# your own bucket and collection here.

create_bucket = false
bucket_name   = "my-project-pictures"

create_database      = false
firestore_database   = "(default)"
firestore_collection = "picture_descriptions"

# Thumbnails that something else makes need no description.
name_exclude = ["thumbnails/*"]
