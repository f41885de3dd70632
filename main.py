"""Entry point of the Cloud Run function: one CloudEvent in, one record in Firestore out."""

import os

from describer.startup import quick_imports

with quick_imports():
    import functions_framework.aio
    from cloudevents.http import CloudEvent
    from starlette.exceptions import HTTPException

    from describer.instance import Instance
    from describer.settings import Settings

    instance = Instance(Settings.from_env(os.environ))


@functions_framework.aio.cloud_event
async def describe_image(event: CloudEvent) -> None:
    """Describe the image that the event tells of; anything but 2xx is delivered again."""
    answer = await instance.deliver(event.get_attributes(), event.get_data())
    if answer.status >= 400:
        raise HTTPException(answer.status, answer.message)
