# Another OpenAI-compatible server in place of Vertex AI. Its key is put into Secret Manager first, so
# that neither this file nor Terraform's state ever holds it:
#
#   gcloud services enable secretmanager.googleapis.com --project=my-project
#   gcloud secrets create model-key --replication-policy=automatic --project=my-project
#   printf %s "$KEY" | gcloud secrets versions add model-key --data-file=- --project=my-project
#   terraform apply -var-file=examples/own-model.tfvars
#
# The project comes from terraform.tfvars (docs/deploy.md), over which this file wins.

openai_base_url = "https://api.openai.com/v1"
openai_api_key  = { secret = "model-key" }
model           = "gpt-5-mini"

# Images are sent as bytes, so each call holds one in memory.
concurrency      = 20
available_memory = "1Gi"

# For the spend estimate, per million tokens.
price_per_million_tokens = { input = 0.25, output = 2.00 }
