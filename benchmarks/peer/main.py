"""The documented call as a function: one image per thread, and one write at the end.

As one would write it from the pages below, and as fast as it can be so: the clients are built
once, no claim is made, and nothing is written before the text is whole. Settings are those of the
benchmark's servers.

Sources: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/migrate/openai/examples,
https://docs.cloud.google.com/run/docs/tutorials/eventarc-functions
"""

import hashlib
import os
from typing import Any

import functions_framework
import openai
from cloudevents.http import CloudEvent
from google.cloud import firestore

client = openai.OpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])
records = firestore.Client().collection("peer")


@functions_framework.cloud_event
def describe_image(event: CloudEvent) -> None:
    """Describe the image that the event tells of."""
    uri = f"gs://{event.data['bucket']}/{event.data['name']}"
    content: Any = [
        {"type": "image_url", "image_url": {"url": uri}},
        {"type": "text", "text": "Describe this image."},
    ]
    answer: Any = client.chat.completions.create(
        model="google/gemini-3.5-flash-lite",
        messages=[{"role": "user", "content": content}],
        stream=True,
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    record = records.document(hashlib.sha256(uri.encode()).hexdigest())
    record.set({"uri": uri, "description": text})
