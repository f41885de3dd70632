"""What 1,000 images cost, in US dollars, without the free tiers.

Sources: https://cloud.google.com/run/pricing (tier 1, request-based billing),
https://cloud.google.com/firestore/pricing, https://cloud.google.com/vertex-ai/generative-ai/pricing.
Firestore's and the model's prices were read on other pages that quote these; check before relying.
"""

from __future__ import annotations

from dataclasses import dataclass

VCPU_SECOND = 0.000024
GIB_SECOND = 0.0000025
REQUEST = 0.40 / 1e6
WRITE = 0.09 / 100_000
INPUT_TOKEN, OUTPUT_TOKEN = 0.30 / 1e6, 2.50 / 1e6

# As the Terraform module deploys it.
VCPU, GIB = 1.0, 0.5
# The image at its default resolution, the prompt, and a paragraph.
IMAGE_TOKENS, PROMPT_TOKENS, TEXT_TOKENS = 1120, 150, 250
MODEL = 1000 * ((IMAGE_TOKENS + PROMPT_TOKENS) * INPUT_TOKEN + TEXT_TOKENS * OUTPUT_TOKEN)


@dataclass(frozen=True)
class Cost:
    """Of 1,000 images: Cloud Run's instance and requests, and Firestore's writes."""

    run: float
    store: float


def cost(images_per_second: float, writes_per_image: float) -> Cost:
    """Price 1,000 images.

    An instance is billed for the time in which it has at least one request, whatever their number.
    """
    seconds = 1000 / images_per_second
    run = seconds * (VCPU * VCPU_SECOND + GIB * GIB_SECOND) + 1000 * REQUEST
    return Cost(run, 1000 * writes_per_image * WRITE)
