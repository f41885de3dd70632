"""Entry point of the Cloud Run function: one CloudEvent in, one record in Firestore out."""

import gc
import os

# What a start imports stays: to look for garbage meanwhile takes a tenth of its time, and to look
# through it again and again later would also copy the pages shared with the forked worker.
gc.disable()

import functions_framework.aio  # noqa: E402
from cloudevents.http import CloudEvent  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402

from describer.clients import Instance  # noqa: E402
from describer.settings import Settings  # noqa: E402

instance = Instance(Settings.from_env(os.environ))
gc.freeze()
gc.enable()


@functions_framework.aio.cloud_event
async def describe_image(event: CloudEvent) -> None:
    """Describe the image that the event tells of; anything but 2xx is delivered again."""
    answer = await instance.deliver(event.get_attributes(), event.get_data())
    if answer.status >= 400:
        raise HTTPException(answer.status, answer.message)
