# The function's settings, one variable for each of its environment variables, with the same names in
# lower case, the same defaults and at least the same rules. Exceptions: `buckets` (variables.tf),
# from which BUCKETS is made, and `openai_api_key`, which names a secret and never holds a key.

variable "google_cloud_project" {
  description = "Id of the project that everything is made in."
  type        = string
  nullable    = false

  validation {
    condition     = length(regexall("^([a-z0-9.-]+\\.[a-z]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.google_cloud_project)) > 0
    error_message = "google_cloud_project is \"${var.google_cloud_project}\": expected a project's id, not its name or number."
  }
}

variable "model" {
  description = "Model, as <publisher>/<id> on Vertex AI (Gemini also without publisher), or as the server at openai_base_url calls it. Null: google/gemini-3.5-flash-lite on Vertex AI."
  type        = string
  default     = null

  validation {
    condition     = length(regexall("^\\S{1,200}$", var.model == null ? "unset" : var.model)) > 0
    error_message = "model: expected 1 to 200 characters without a space."
  }

  validation {
    condition     = var.openai_base_url == null || var.model != null
    error_message = "model is not set, and its default is a model of Vertex AI: expected what the server at openai_base_url calls its model."
  }

  validation {
    condition     = var.openai_base_url != null || length(regexall("^([a-z0-9-]+/|gemini-).+$", var.model == null ? "google/unset" : var.model)) > 0
    error_message = "model is \"${var.model == null ? "unset" : var.model}\": on Vertex AI expected the publisher too, such as google/gemini-3.5-flash-lite; only Gemini models may go without."
  }

  # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/model-versions
  validation {
    condition     = var.openai_base_url != null || length(regexall("^(google/)?gemini-([12]\\.|pro|ultra)", var.model == null ? "google/unset" : var.model)) == 0
    error_message = "model is \"${var.model == null ? "unset" : var.model}\", which is retired on Vertex AI and answers 404: expected a current one, such as google/gemini-3.5-flash-lite."
  }
}

variable "models" {
  description = "Models to fall back on, in this order: at once where one is retired or unknown, and after fallback_after_seconds where it only refuses."
  type        = list(string)
  default     = []
  nullable    = false

  # The function gets them joined by commas.
  validation {
    condition     = alltrue([for model in var.models : length(regexall("^[^\\s,]{1,200}$", model)) > 0])
    error_message = "models: expected 1 to 200 characters each, without a space or comma."
  }

  validation {
    condition = var.openai_base_url != null || alltrue([for model in var.models :
      length(regexall("^([a-z0-9-]+/|gemini-).+$", model)) > 0 && length(regexall("^(google/)?gemini-([12]\\.|pro|ultra)", model)) == 0
    ])
    error_message = "models: expected current models; on Vertex AI with their publisher, such as google/gemini-3.8-flash."
  }
}

variable "fallback_after_seconds" {
  description = "Seconds that a model may refuse an image (out of quota, overloaded, forbidden) until the next of `models` is asked. A request that may have been paid is never repeated so."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.fallback_after_seconds >= 0 && var.fallback_after_seconds <= 85200
    error_message = "fallback_after_seconds is ${var.fallback_after_seconds}: expected seconds from 0 to 85200."
  }

  validation {
    condition     = length(var.models) == 0 && alltrue([for profile in var.profiles : profile.models == null]) || var.fallback_after_seconds < var.max_event_age_seconds
    error_message = "fallback_after_seconds is ${var.fallback_after_seconds}, max_event_age_seconds ${var.max_event_age_seconds}: the upload would be given up before."
  }
}

variable "model_location" {
  description = "Where the model is called: global, us, eu or a region. Not the function's region: current Gemini models are sold by the token at global, us and eu only."
  type        = string
  default     = "global"
  nullable    = false

  validation {
    condition     = length(regexall("^(global|us|eu|[a-z]+-[a-z]+[0-9]+)$", var.model_location)) > 0
    error_message = "model_location is \"${var.model_location}\": expected global, us, eu or a region such as europe-west4."
  }

  # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/model-versions
  validation {
    condition = (
      var.openai_base_url != null || !var.check_model_location || contains(["global", "us", "eu"], var.model_location)
      || length(regexall("(^| )(google/)?gemini-", join(" ", concat([var.model == null ? "gemini-unset" : var.model], [for profile in var.profiles : profile.model if profile.model != null])))) == 0
    )
    error_message = "model_location is \"${var.model_location}\": Gemini models are sold by the token at global, us and eu only, whatever the function's region. With provisioned throughput in that region set check_model_location = false."
  }

  validation {
    condition = (
      var.openai_base_url != null || !var.check_model_location
      || !(var.model_location == "us" && startswith(var.region, "europe-"))
      && !(var.model_location == "eu" && (startswith(var.region, "us-") || startswith(var.region, "northamerica-")))
    )
    error_message = "model_location is \"${var.model_location}\", the function's region ${var.region}: every image would cross the ocean. If that is meant set check_model_location = false."
  }
}

variable "check_model_location" {
  description = "Whether to refuse a model_location where the model is not sold by the token, or on another continent than the function."
  type        = bool
  default     = true
  nullable    = false
}

variable "openai_base_url" {
  description = "An OpenAI-compatible server in place of Vertex AI, such as https://api.openai.com/v1. Null: Vertex AI."
  type        = string
  default     = null

  validation {
    condition     = length(regexall("^https?://[^/?#@\\s]+(/[^?#\\s]*)?$", var.openai_base_url == null ? "https://unset" : var.openai_base_url)) > 0
    error_message = "openai_base_url: expected an http or https URL without credentials, query or fragment, such as https://host/v1."
  }
}

variable "openai_api_key" {
  description = "Secret Manager secret that holds the key for openai_base_url: `secret` (its name), `version` and, if it is elsewhere, `project`. The key itself is never given to Terraform."
  type = object({
    secret  = string
    version = optional(string, "latest")
    project = optional(string)
  })
  default = null

  validation {
    condition     = var.openai_api_key == null || length(regexall("^[A-Za-z0-9_-]{1,255}$", var.openai_api_key == null ? "unset" : var.openai_api_key.secret)) > 0
    error_message = "openai_api_key: expected the secret's name alone, without projects/ and secrets/."
  }

  # A key that someone pasted would stay in the state file.
  validation {
    condition     = length(regexall("^sk-", var.openai_api_key == null ? "" : var.openai_api_key.secret)) == 0
    error_message = "openai_api_key: this looks like a key; expected the name of the secret that holds it."
  }

  validation {
    condition     = length(regexall("^(latest|[1-9][0-9]*)$", var.openai_api_key == null ? "latest" : var.openai_api_key.version)) > 0
    error_message = "openai_api_key: expected `latest` or a number as version."
  }

  validation {
    condition     = var.openai_api_key == null || var.openai_base_url != null
    error_message = "openai_api_key: without openai_base_url the model is on Vertex AI, which takes no key."
  }
}

variable "model_server" {
  description = "Kind of server at openai_base_url, which tells what it takes: vertex, gemini, openai, llama.cpp, vllm, ollama, lmstudio, litellm or unknown. auto: told from the address."
  type        = string
  default     = "auto"
  nullable    = false

  validation {
    condition     = contains(["auto", "vertex", "gemini", "openai", "llama.cpp", "vllm", "ollama", "lmstudio", "litellm", "unknown"], var.model_server)
    error_message = "model_server is \"${var.model_server}\": expected auto, vertex, gemini, openai, llama.cpp, vllm, ollama, lmstudio, litellm or unknown."
  }

  validation {
    condition     = var.openai_base_url != null || contains(["auto", "vertex"], var.model_server)
    error_message = "model_server is \"${var.model_server}\": without openai_base_url the model is on Vertex AI."
  }
}

variable "image_input" {
  description = "How images reach the model: uri sends gs://, inline sends bytes, auto chooses."
  type        = string
  default     = "auto"
  nullable    = false

  validation {
    condition     = contains(["auto", "uri", "inline"], var.image_input)
    error_message = "image_input is \"${var.image_input}\": expected auto, uri or inline."
  }

  validation {
    condition     = var.image_input != "uri" || var.openai_base_url == null
    error_message = "image_input is uri: only Vertex AI reads gs://, so with openai_base_url expected auto or inline."
  }
}

variable "image_detail" {
  description = "How closely the model looks at an image, and so what it costs: auto, low, high or original, as far as the server knows it; on Vertex AI low or high. Null: the model's own."
  type        = string
  default     = null

  validation {
    condition     = var.image_detail == null || contains(["auto", "low", "high", "original"], var.image_detail == null ? "auto" : var.image_detail)
    error_message = "image_detail: expected auto, low, high, original or null."
  }

  # The function refuses what the kind of server does not know; with `auto` only it can tell.
  validation {
    condition     = var.image_detail == null || !contains(["gemini", "llama.cpp", "vllm", "ollama", "lmstudio", "unknown"], var.model_server)
    error_message = "image_detail: a server of kind ${var.model_server} has no such parameter."
  }

  validation {
    condition     = var.openai_base_url != null || contains(["low", "high"], var.image_detail == null ? "low" : var.image_detail)
    error_message = "image_detail: on Vertex AI expected low or high."
  }
}

variable "firestore_database" {
  description = "Database that holds the records."
  type        = string
  default     = "(default)"
  nullable    = false

  validation {
    condition     = length(regexall("^(\\(default\\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$", var.firestore_database)) > 0
    error_message = "firestore_database is \"${var.firestore_database}\": expected (default), or 4 to 63 lower case letters, digits and hyphens."
  }
}

variable "firestore_collection" {
  description = "Collection that holds the records, one document per object."
  type        = string
  default     = "descriptions"
  nullable    = false

  # Stricter than Firestore, which takes any UTF-8: the name stands in the security rules too.
  validation {
    condition     = length(regexall("^[A-Za-z][A-Za-z0-9_-]{0,199}$", var.firestore_collection)) > 0
    error_message = "firestore_collection is \"${var.firestore_collection}\": expected a letter, then up to 199 letters, digits, hyphens and underscores."
  }
}

variable "prompt" {
  description = "What the model is asked. Null: the function's own."
  type        = string
  default     = null

  validation {
    condition     = length(trimspace(var.prompt == null ? "unset" : var.prompt)) > 0
    error_message = "prompt: expected some text, or null for the function's own."
  }

  # Environment variables are limited to 32 KiB each.
  # https://cloud.google.com/run/quotas
  validation {
    condition     = length(var.prompt == null ? "" : var.prompt) <= 8000
    error_message = "prompt: expected at most 8000 characters."
  }
}

variable "description_language" {
  description = "Language of the descriptions, as a BCP-47 tag; or several, separated by commas, of which the first is the description's."
  type        = string
  default     = "en"
  nullable    = false

  validation {
    condition     = length(regexall("^ *[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})* *(, *[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})* *){0,9}$", var.description_language)) > 0
    error_message = "description_language is \"${var.description_language}\": expected BCP-47 tags such as en, de-CH or zh-Hant, separated by commas."
  }
}

variable "max_output_tokens" {
  description = "Most tokens of one description. Thinking counts too: below some hundred the text may be empty."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.max_output_tokens >= 16 && var.max_output_tokens <= 65536 && floor(var.max_output_tokens) == var.max_output_tokens
    error_message = "max_output_tokens is ${var.max_output_tokens}: expected a whole number from 16 to 65536."
  }
}

variable "reasoning_effort" {
  description = "How much a model that thinks may think: none, minimal, low, medium, high or xhigh, as far as model and server know it. Null: the model's own."
  type        = string
  default     = null

  validation {
    condition     = var.reasoning_effort == null || contains(["none", "minimal", "low", "medium", "high", "xhigh"], var.reasoning_effort == null ? "none" : var.reasoning_effort)
    error_message = "reasoning_effort: expected none, minimal, low, medium, high, xhigh or null."
  }

  # The function refuses what the kind of server does not know; with `auto` only it can tell.
  validation {
    condition     = var.reasoning_effort == null || !contains(["llama.cpp", "lmstudio", "unknown"], var.model_server)
    error_message = "reasoning_effort: a server of kind ${var.model_server} has no such parameter."
  }

  validation {
    condition     = var.openai_base_url != null || contains(["low", "medium", "high"], var.reasoning_effort == null ? "low" : var.reasoning_effort)
    error_message = "reasoning_effort: on Vertex AI expected low, medium or high."
  }
}

variable "outputs" {
  description = "What is asked for besides the description, in one JSON object with it: any of alt_text, decorative, text_in_image and tags."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.outputs, ["alt_text", "decorative", "text_in_image", "tags"])) == 0
    error_message = "outputs: expected any of alt_text, decorative, text_in_image and tags."
  }
}

variable "tags" {
  description = "The only tags there are, where tags are asked for. None: any."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.tags) <= 200 && alltrue([for tag in var.tags : length(regexall("^[^[:cntrl:],]{1,60}$", tag)) > 0 && trimspace(tag) != ""])
    error_message = "tags: expected at most 200 tags of at most 60 characters, without commas."
  }
}

variable "alt_text_characters" {
  description = "Longest alternative text in characters."
  type        = number
  default     = 150
  nullable    = false

  validation {
    condition     = var.alt_text_characters >= 20 && var.alt_text_characters <= 1000 && floor(var.alt_text_characters) == var.alt_text_characters
    error_message = "alt_text_characters is ${var.alt_text_characters}: expected a whole number from 20 to 1000."
  }
}

variable "use_metadata" {
  description = "Metadata that the prompt quotes, as data: at most 20 of custom:KEY, custom:KEY=KIND, and the fields of EXIF, IPTC and XMP in docs/metadata.md, such as iptc:City. What is quoted leaves the project with the picture."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.use_metadata) <= 20 && alltrue([for name in var.use_metadata : length(regexall(local.metadata_field, name)) > 0])
    error_message = "use_metadata: expected at most 20 of custom:KEY, custom:KEY=KIND and the fields listed in docs/metadata.md."
  }
}

locals {
  # Also of a profile. As the function has them; the kind is what a custom field is called to the model.
  metadata_field = "^(?:custom:[^[:cntrl:][:space:],=\"]{1,128}(?:=[^[:cntrl:][:space:],=\"][^[:cntrl:],=\"]{0,59})?|exif:(?:ImageDescription|Artist|DateTimeOriginal|UserComment|XPTitle|XPComment|XPKeywords|XPSubject)|iptc:(?:ObjectName|Headline|Caption-Abstract|Keywords|DateCreated|By-line|Sub-location|City|Province-State|Country-PrimaryLocationName)|xmp:(?:dc:title|dc:description|dc:subject|dc:creator|photoshop:Headline|photoshop:DateCreated|photoshop:City|photoshop:State|photoshop:Country|Iptc4xmpCore:Location|Iptc4xmpCore:AltTextAccessibility|Iptc4xmpCore:ExtDescrAccessibility|Iptc4xmpExt:PersonInImage|Iptc4xmpExt:Event))$"
}

variable "profiles" {
  description = "Settings for some names only: the first `pattern` (a glob) that matches an object's name replaces prompt, language, model, models, max_output_tokens, outputs, tags or use_metadata."
  type = list(object({
    pattern           = string
    prompt            = optional(string)
    language          = optional(string)
    model             = optional(string)
    models            = optional(list(string))
    max_output_tokens = optional(number)
    outputs           = optional(list(string))
    tags              = optional(list(string))
    use_metadata      = optional(list(string))
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for profile in var.profiles : profile.pattern != "" && length(trimspace(profile.prompt == null ? "unset" : profile.prompt)) > 0])
    error_message = "profiles: expected a pattern, and a prompt that is not blank."
  }

  # Also what is left of a misspelt attribute, which Terraform drops without a word.
  validation {
    condition = alltrue([for profile in var.profiles :
      profile.prompt != null || profile.language != null || profile.model != null || profile.max_output_tokens != null
      || profile.models != null || profile.outputs != null || profile.tags != null || profile.use_metadata != null
    ])
    error_message = "profiles: expected each to replace at least one of prompt, language, model, models, max_output_tokens, outputs, tags and use_metadata."
  }

  validation {
    condition = alltrue([for profile in var.profiles :
      length(setsubtract(profile.outputs == null ? [] : profile.outputs, ["none", "alt_text", "decorative", "text_in_image", "tags"])) == 0
      && (profile.outputs == null ? 1 : length(profile.outputs)) > 0
      && (profile.outputs == null ? true : length(profile.outputs) == 1 || !contains(profile.outputs, "none"))
    ])
    error_message = "profiles: expected any of alt_text, decorative, text_in_image and tags as outputs, or none alone."
  }

  validation {
    condition = alltrue([for profile in var.profiles :
      (profile.tags == null ? 1 : length(profile.tags)) > 0 && (profile.tags == null ? 1 : length(profile.tags)) <= 200
      && alltrue([for tag in(profile.tags == null ? [] : profile.tags) : length(regexall("^[^[:cntrl:],]{1,60}$", tag)) > 0 && trimspace(tag) != ""])
    ])
    error_message = "profiles: expected 1 to 200 tags of at most 60 characters, without commas."
  }

  validation {
    condition = alltrue([for profile in var.profiles :
      (profile.use_metadata == null ? 1 : length(profile.use_metadata)) > 0 && (profile.use_metadata == null ? 1 : length(profile.use_metadata)) <= 20
      && alltrue([for name in(profile.use_metadata == null ? [] : profile.use_metadata) :
        length(regexall(local.metadata_field, name)) > 0 || (name == "none" && length(profile.use_metadata) == 1)
      ])
    ])
    error_message = "profiles: expected as use_metadata 1 to 20 of what the variable takes, or none alone."
  }

  validation {
    condition     = alltrue([for profile in var.profiles : length(regexall("^ *[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})* *(, *[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})* *){0,9}$", profile.language == null ? "en" : profile.language)) > 0])
    error_message = "profiles: expected BCP-47 tags as language, such as en, de-CH or zh-Hant, separated by commas."
  }

  validation {
    condition = alltrue([for profile in var.profiles :
      (profile.max_output_tokens == null ? 16 : profile.max_output_tokens) >= 16 && (profile.max_output_tokens == null ? 16 : profile.max_output_tokens) <= 65536
      && floor(profile.max_output_tokens == null ? 16 : profile.max_output_tokens) == (profile.max_output_tokens == null ? 16 : profile.max_output_tokens)
    ])
    error_message = "profiles: expected a whole number from 16 to 65536 as max_output_tokens."
  }

  validation {
    condition = alltrue([for profile in var.profiles :
      length(regexall("^\\S{1,200}$", profile.model == null ? "google/unset" : profile.model)) > 0
      && (var.openai_base_url != null || length(regexall("^([a-z0-9-]+/|gemini-).+$", profile.model == null ? "google/unset" : profile.model)) > 0)
      && (var.openai_base_url != null || length(regexall("^(google/)?gemini-([12]\\.|pro|ultra)", profile.model == null ? "google/unset" : profile.model)) == 0)
    ])
    error_message = "profiles: expected a current model as model; on Vertex AI with its publisher, such as google/gemini-3.8-flash."
  }

  # As those of `models`; an empty list would not say whether it means none.
  validation {
    condition = alltrue([for profile in var.profiles :
      (profile.models == null ? 1 : length(profile.models)) > 0
      && alltrue([for model in(profile.models == null ? [] : profile.models) :
        length(regexall("^[^\\s,]{1,200}$", model)) > 0
        && (var.openai_base_url != null || length(regexall("^([a-z0-9-]+/|gemini-).+$", model)) > 0)
        && (var.openai_base_url != null || length(regexall("^(google/)?gemini-([12]\\.|pro|ultra)", model)) == 0)
      ])
    ])
    error_message = "profiles: expected at least one current model as models, without a space or comma; on Vertex AI with its publisher."
  }
}

variable "reuse" {
  description = "Whether an image of the same bytes as a described one gets its text, at no cost, where prompt and model are the same."
  type        = bool
  default     = false
  nullable    = false
}

variable "daily_limit" {
  description = "Calls of the model a day (UTC), over all instances; above it the outcome is over_limit. No limit by default."
  type        = number
  default     = null

  validation {
    condition     = var.daily_limit == null ? true : var.daily_limit >= 1 && var.daily_limit <= 1000000000 && floor(var.daily_limit) == var.daily_limit
    error_message = "daily_limit: expected a whole number from 1 to 1000000000, or null."
  }
}

variable "delete_records" {
  description = "Whether the record of a deleted object is deleted, unless a person wrote its description."
  type        = bool
  default     = false
  nullable    = false
}

variable "events_topic" {
  description = "Id of a Pub/Sub topic, made here, that gets a CloudEvent for each record that is finished or deleted. Null: none."
  type        = string
  default     = null

  validation {
    condition     = length(regexall("^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$", var.events_topic == null ? "unset" : var.events_topic)) > 0 && !startswith(var.events_topic == null ? "unset" : var.events_topic, "goog")
    error_message = "events_topic: expected 3 to 255 letters, digits and ._~+%-, beginning with a letter but not with goog, without projects/."
  }
}

variable "name_include" {
  description = "Globs on the object's name; if there are any, only names that match one are described."
  type        = list(string)
  default     = []
  nullable    = false

  # The function gets them joined by commas.
  validation {
    condition     = alltrue([for glob in var.name_include : trimspace(glob) != "" && !strcontains(glob, ",")])
    error_message = "name_include: expected globs that are not blank and hold no comma."
  }
}

variable "name_exclude" {
  description = "Globs on the object's name; names that match one are not described."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for glob in var.name_exclude : trimspace(glob) != "" && !strcontains(glob, ",")])
    error_message = "name_exclude: expected globs that are not blank and hold no comma."
  }
}

variable "max_image_bytes" {
  description = "Largest image in bytes that is read; above it the outcome is too_large. What is too large to send is scaled down."
  type        = number
  default     = 104857600
  nullable    = false

  validation {
    condition     = var.max_image_bytes >= 1 && var.max_image_bytes <= 5497558138880 && floor(var.max_image_bytes) == var.max_image_bytes
    error_message = "max_image_bytes is ${var.max_image_bytes}: expected a whole number from 1 to 5497558138880 (5 TiB)."
  }
}

variable "max_image_pixels" {
  description = "Most pixels of an image, by what it says of itself; above it the outcome is too_large."
  type        = number
  default     = 200000000
  nullable    = false

  validation {
    condition     = var.max_image_pixels >= 1000 && var.max_image_pixels <= 2000000000 && floor(var.max_image_pixels) == var.max_image_pixels
    error_message = "max_image_pixels is ${var.max_image_pixels}: expected a whole number from 1000 to 2000000000."
  }
}

variable "max_image_side" {
  description = "Longest side, in pixels, of an image that is converted or scaled down."
  type        = number
  default     = 3072
  nullable    = false

  validation {
    condition     = var.max_image_side >= 64 && var.max_image_side <= 16384 && floor(var.max_image_side) == var.max_image_side
    error_message = "max_image_side is ${var.max_image_side}: expected a whole number from 64 to 16384."
  }
}

variable "flush_seconds" {
  description = "Least seconds between two writes of partial text. Each is a billed write."
  type        = number
  default     = 1
  nullable    = false

  # 1: the sustained rate of writes to one document to plan for.
  # https://firebase.google.com/docs/firestore/best-practices
  validation {
    condition     = var.flush_seconds >= 1 && var.flush_seconds <= 60
    error_message = "flush_seconds is ${var.flush_seconds}: expected seconds from 1 to 60."
  }

  validation {
    condition     = var.flush_seconds * 2 < var.lease_seconds
    error_message = "flush_seconds is ${var.flush_seconds}, lease_seconds ${var.lease_seconds}: a flush renews the lease, so expected less than half of it."
  }
}

variable "stream_timeout_seconds" {
  description = "Seconds that one description may take in all."
  type        = number
  default     = 240
  nullable    = false

  validation {
    condition     = var.stream_timeout_seconds >= 1 && var.stream_timeout_seconds <= 420
    error_message = "stream_timeout_seconds is ${var.stream_timeout_seconds}: expected seconds from 1 to 420, which leaves 120 of the platform's 540."
  }

  validation {
    condition     = var.stream_timeout_seconds > var.chunk_timeout_seconds
    error_message = "stream_timeout_seconds is ${var.stream_timeout_seconds}, chunk_timeout_seconds ${var.chunk_timeout_seconds}: the whole must be longer than one silence."
  }
}

variable "chunk_timeout_seconds" {
  description = "Seconds of silence between two pieces of text after which the stream counts as broken."
  type        = number
  default     = 45
  nullable    = false

  validation {
    condition     = var.chunk_timeout_seconds >= 1 && var.chunk_timeout_seconds <= 400
    error_message = "chunk_timeout_seconds is ${var.chunk_timeout_seconds}: expected seconds from 1 to 400."
  }
}

variable "lease_seconds" {
  description = "Seconds after its last sign of life until a delivery's claim on an image is free again."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.lease_seconds >= 11 && var.lease_seconds <= 900
    error_message = "lease_seconds is ${var.lease_seconds}: expected seconds from 11 to 900."
  }

  # Nothing renews the lease between two pieces of text.
  validation {
    condition     = var.lease_seconds >= var.chunk_timeout_seconds + 10 && var.lease_seconds >= var.chunk_timeout_seconds * 1.2
    error_message = "lease_seconds is ${var.lease_seconds}, chunk_timeout_seconds ${var.chunk_timeout_seconds}: expected at least 10 s and a fifth more, or a worker that only waits would lose its lease."
  }
}

variable "max_attempts" {
  description = "Tries in which the model began (and so may have been paid) after which an image is given up; others are bounded by age alone."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_attempts >= 1 && var.max_attempts <= 1000 && floor(var.max_attempts) == var.max_attempts
    error_message = "max_attempts is ${var.max_attempts}: expected a whole number from 1 to 1000."
  }
}

variable "max_event_age_seconds" {
  description = "Age of an event in seconds after which its image is given up. Redelivery ends after 24 hours, and the last one must still find the time to record."
  type        = number
  default     = 82800
  nullable    = false

  # Redeliveries are up to 600 s apart; with less room than that the last one may never come.
  # https://cloud.google.com/eventarc/docs/retry-events
  validation {
    condition     = var.max_event_age_seconds >= 60 && var.max_event_age_seconds <= 85200
    error_message = "max_event_age_seconds is ${var.max_event_age_seconds}: expected seconds from 60 to 85200, twice the longest pause before the 24 hours of redelivery end."
  }

  validation {
    condition     = var.max_event_age_seconds > var.lease_seconds
    error_message = "max_event_age_seconds is ${var.max_event_age_seconds}, lease_seconds ${var.lease_seconds}: an image whose worker died would be given up as soon as it is free again."
  }
}

variable "log_level" {
  description = "Least severity that is logged."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level is \"${var.log_level}\": expected DEBUG, INFO, WARNING or ERROR."
  }
}

variable "traces_endpoint" {
  description = "Where traces are sent by OTLP over HTTP, such as https://telemetry.googleapis.com/v1/traces for Cloud Trace. Null: no traces."
  type        = string
  default     = null

  validation {
    condition     = length(regexall("^https?://[^/?#@\\s]+(/[^?#\\s]*)?$", var.traces_endpoint == null ? "https://unset" : var.traces_endpoint)) > 0
    error_message = "traces_endpoint: expected an http or https URL without credentials, query or fragment, such as https://telemetry.googleapis.com/v1/traces."
  }
}

variable "traces_ratio" {
  description = "Share of deliveries that are traced."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.traces_ratio >= 0.0001 && var.traces_ratio <= 1
    error_message = "traces_ratio is ${var.traces_ratio}: expected a share from 0.0001 to 1."
  }
}
