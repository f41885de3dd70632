"""One tiny real call of each model, through the function's own client."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace

from describer.build import build_model
from describer.errors import DescriberError
from describer.images.image import Image
from describer.images.room import Buffer
from describer.model.chat import vertex_base_url
from describer.model.description import Accumulator
from describer.model.outputs import Wanted
from describer.model.port import Model
from describer.model.prompt import Instructions, instructions_for
from describer.settings import Settings
from operate.cloud import Cloud

# 32 x 32 grey pixels.
_PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAGElEQVR42mNsYMAPmBhGFYwqGFUwQhUAAJe+AMD8WknZAAAAAElFTkSuQmCC"
)
_SECONDS = 45.0
# In the cheaper lane a request may wait for its turn.
_ECONOMY_SECONDS = 180.0
# Thinking counts, too; that the text is cut is no matter.
_MOST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one call; no error where the model answered.

    Attributes:
        model: as it was sent.
        traffic_type: how it was served, as Vertex AI alone says.
    """

    model: str
    error: DescriberError | None = None
    traffic_type: str | None = None


def ask_models(
    settings: Settings, cloud: Cloud | None = None, *, economy: bool = False
) -> list[Asked]:
    """Call every model that the settings name, one after the other. Billed as any other call.

    Args:
        cloud: where Vertex AI is, if not where it is for everybody.
        economy: ask for the server's cheaper lane, and not those that others fall back on: they
            are never asked there.
    """
    if economy:
        profiles = tuple(replace(profile, models=None) for profile in settings.profiles)
        settings = replace(settings, models=(), profiles=profiles)
    return asyncio.run(_ask(settings, cloud, settings.every_model, economy=economy))


async def _ask(
    settings: Settings, cloud: Cloud | None, models: Sequence[str], *, economy: bool
) -> list[Asked]:
    reached = settings
    if settings.on_vertex and cloud is not None and cloud.emulated:
        url = cloud.address(vertex_base_url(cloud.project, settings.model_location))
        reached = replace(settings, openai_base_url=url, model_server="vertex")
    try:
        client = await asyncio.to_thread(build_model, reached)
    except DescriberError as exc:
        return [Asked(model, exc) for model in models]
    try:
        return [
            await _one(client, replace(settings, model=model, profiles=()), economy=economy)
            for model in models
        ]
    finally:
        await client.close()


async def _one(client: Model, settings: Settings, *, economy: bool) -> Asked:
    seconds = _ECONOMY_SECONDS if economy else _SECONDS
    asked: Instructions = replace(
        instructions_for("picture.png", settings),
        system="Answer with one word.",
        wanted=Wanted(),
        max_output_tokens=_MOST_TOKENS,
        economy=economy,
    )
    content = Buffer(len(_PICTURE))
    content.write(_PICTURE)
    image = Image("image/png", len(_PICTURE), content=content)
    answer = Accumulator()
    try:
        async with asyncio.timeout(seconds), client.stream(asked, image) as chunks:
            async for chunk in chunks:
                answer.add(chunk)
    except TimeoutError:
        return Asked(asked.model, DescriberError(f"no whole answer within {seconds:g} s"))
    except DescriberError as exc:
        return Asked(asked.model, exc)
    finally:
        content.close()
    if answer.finish_reason is None:
        return Asked(asked.model, DescriberError("the answer broke off"))
    usage = answer.usage
    return Asked(asked.model, traffic_type=usage.traffic_type if usage else None)
