# Everything in Europe: pictures in a multi-region bucket, records in a multi-region database, and the
# model called at the European endpoint. Signed-in users may read the records in a web page.
#
#   terraform apply -var-file=examples/europe.tfvars
#
# The project comes from terraform.tfvars (docs/deploy.md), over which this file wins: put your own
# address for alerts here.

region         = "europe-west1"
model_location = "eu"

bucket_location    = "eu"
firestore_location = "eur3"

description_language = "de"
readers              = "signed_in"
alert_emails         = ["ada@example.com"]

# The shop's pictures are described in more detail, for readers who cannot see them.
profiles = [
  {
    pattern           = "shop/*"
    model             = "google/gemini-3.8-flash"
    prompt            = "Describe the product for someone who cannot see it: shape, colour, material, text on it."
    max_output_tokens = 2048
  },
]
