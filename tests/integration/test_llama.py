"""The function's own client and image loading against a server that others wrote: llama.cpp's."""

import asyncio
import base64
import io
import itertools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from describer.build import build_model
from describer.errors import (
    DescriberError,
    ModelBusyError,
    ModelRejectedError,
)
from describer.images.image import Image
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.images.room import Buffer
from describer.model.chat import OpenAIModel
from describer.model.description import Accumulator, Description, describe
from describer.model.outputs import read, visible
from describer.model.prompt import Instructions, instructions_for
from describer.servers import SERVERS
from describer.settings import Settings
from describer.values import Upload
from local.http import call
from local.servers.processes import Server, answers, free_port, running, start
from tests.conftest import missing
from tests.integration import llama

INSTRUCTIONS = Instructions("any", "en", 16, "Say what you see.")
SERVER = SERVERS["llama.cpp"]


def _serve(folder: Path, *arguments: str) -> Iterator[Server]:
    if reason := llama.why_not():
        missing(reason)
    port = free_port()
    command = [sys.executable, "-m", "tests.integration.llama", str(port), str(folder)]
    server = start("llama", [*command, *arguments], port)
    with running(server, answers("/health")):
        yield server


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server with a projector, so that it takes images."""
    yield from _serve(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server with the text model alone."""
    yield from _serve(tmp_path_factory.mktemp("llama"), "--blind")


def settings_for(server: Server) -> Settings:
    return Settings(openai_base_url=f"{server.url}/v1", model_server="llama.cpp")


def picture(form: str) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (60, 40), "teal").save(file, form)
    return file.getvalue()


async def _ask(
    server: Server, image: Image, instructions: Instructions = INSTRUCTIONS
) -> tuple[Description, list[str]]:
    model, shown = build_model(settings_for(server)), list[str]()

    def on_text(text: Accumulator) -> None:
        shown.append(text.text)

    try:
        return await describe(model, instructions, image, on_text=on_text), shown
    finally:
        await model.close()


def ask(
    server: Server, content: bytes, content_type: str = "image/png", **changes: Any
) -> tuple[Description, list[str]]:
    """Send these bytes as they are; give the description, and each partial text."""
    buffer = Buffer(len(content))
    buffer.write(content)
    image = Image(content_type, len(content), content=buffer)
    return asyncio.run(_ask(server, image, replace(INSTRUCTIONS, **changes)))


def upload_and_ask(server: Server, name: str, content: bytes, content_type: str) -> Description:
    """Load the object as the function does, and describe it."""

    async def work() -> Description:
        images = Images(settings_for(server), MemoryBucket({name: content}))
        upload = Upload("b12", name, 1, content_type, len(content), "e")
        images.check(upload)
        try:
            async with images.room_for(upload) as share:
                description, _ = await _ask(server, await images.load(upload, share))
                return description
        finally:
            images.close()

    return asyncio.run(work())


def test_it_streams_a_text_and_counts_what_it_cost(seeing: Server) -> None:
    """Text grows chunk by chunk; the limit of the output is kept, and usage adds up."""
    description, shown = ask(seeing, picture("PNG"))
    assert description.outcome == "truncated"
    assert len(shown) > 5
    assert all(longer.startswith(shorter) for shorter, longer in itertools.pairwise(shown))
    assert description.text.startswith(shown[-1])
    usage = description.usage
    assert usage is not None
    assert usage.completion_tokens == INSTRUCTIONS.max_output_tokens
    # Sixteen of them are the picture's.
    assert usage.prompt_tokens > 16
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.parametrize("content_type", sorted(SERVER.accepts))
def test_it_takes_each_format_that_the_table_says(seeing: Server, content_type: str) -> None:
    """From the object in the bucket to the description."""
    form = content_type.removeprefix("image/")
    description = upload_and_ask(seeing, f"a.{form}", picture(form.upper()), content_type)
    assert description.text


@pytest.mark.parametrize("form", ["webp", "tiff", "avif"])
def test_it_takes_none_that_the_table_leaves_out(seeing: Server, form: str) -> None:
    """So they are converted; sent as they are, they are refused for good."""
    content, content_type = picture(form.upper()), f"image/{form}"
    assert upload_and_ask(seeing, f"a.{form}", content, content_type).text
    with pytest.raises(ModelRejectedError, match=r"400.*Failed to load image"):
        ask(seeing, content, content_type)


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n" + bytes(99), b"hello"], ids=["torn", "text"]
)
def test_bytes_that_are_no_image_are_refused_for_good(seeing: Server, content: bytes) -> None:
    """With the server's words."""
    with pytest.raises(ModelRejectedError, match="Failed to load image"):
        ask(seeing, content)


def test_half_an_image_is_described_as_if_it_were_whole(seeing: Server) -> None:
    """What the server does not notice must be noticed before."""
    whole = picture("JPEG")
    description, _ = ask(seeing, whole[: len(whole) // 2], "image/jpeg")
    assert description.text


def test_it_reads_no_bucket(seeing: Server) -> None:
    """An address of Cloud Storage is refused for good."""
    with pytest.raises(ModelRejectedError, match="Failed to load image"):
        asyncio.run(_ask(seeing, Image("image/png", 9, uri="gs://b12/a.png")))


@pytest.mark.parametrize(
    ("permanent", "expected"),
    [(SERVER.permanent, ModelRejectedError), ((), ModelBusyError)],
    ids=["told by the table", "by the status alone"],
)
def test_an_image_for_a_blind_model_is_refused_for_good(
    blind: Server, permanent: tuple[str, ...], expected: type[DescriberError]
) -> None:
    """It says 500, which by itself would be asked again for most of a day."""
    with pytest.raises(expected, match=r"500.*image input is not supported"):
        _ask_as(blind, permanent=permanent)


def test_an_address_without_its_object_is_refused_for_good(seeing: Server) -> None:
    """`image_url` as text, as in Vertex AI's own sample: again a 500."""
    with pytest.raises(ModelRejectedError, match=r"500.*Invalid base64"):
        _ask_as(seeing, image_url="string")


def _ask_as(server: Server, **changes: Any) -> None:
    """Ask in the dialect of a server that differs in one point."""

    async def work() -> None:
        model = build_model(settings_for(server))
        assert isinstance(model, OpenAIModel)
        other = OpenAIModel(model._client, server=replace(SERVER, **changes))
        image = Image("image/png", 9, uri="data:image/png;base64,AAAA")
        try:
            async with other.stream(INSTRUCTIONS, image) as chunks:
                assert [chunk async for chunk in chunks] == []
        finally:
            await model.close()

    asyncio.run(work())


def _data_url() -> str:
    return "data:image/png;base64," + base64.b64encode(picture("PNG")).decode()


def test_a_strict_schema_is_kept(seeing: Server) -> None:
    """Even by a model that talks nonsense: keys, types and lengths are the grammar's."""
    schema = {
        "type": "object",
        "properties": {
            "altText": {"type": "string", "maxLength": 20},
            "decorative": {"type": "boolean"},
        },
        "required": ["altText", "decorative"],
        "additionalProperties": False,
    }
    assert SERVER.structured == "json_schema"
    model = build_model(settings_for(seeing))
    assert isinstance(model, OpenAIModel)
    image = Image("image/png", 9, uri=_data_url())
    request = model._request(replace(INSTRUCTIONS, max_output_tokens=120), image)
    request["response_format"] = {
        "type": SERVER.structured,
        "json_schema": {"name": "outputs", "strict": True, "schema": schema},
    }
    request["stream"] = False
    del request["stream_options"]
    answer = call(
        "POST",
        f"{seeing.url}/v1/chat/completions",
        body=json.dumps(request).encode(),
        timeout_seconds=60,
    ).json()
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    written = json.loads(choice["message"]["content"])
    assert set(written) == {"altText", "decorative"}
    assert len(written["altText"]) <= 20
    assert isinstance(written["decorative"], bool)


def test_an_answer_is_put_into_form_without_a_picture(blind: Server) -> None:
    """Also by a server that could not be shown one: an object by the same schema."""
    settings = replace(settings_for(blind), outputs=("alt_text",))
    asked = instructions_for("a", settings)
    asked = replace(asked, model=INSTRUCTIONS.model, max_output_tokens=160)

    async def work() -> str:
        model = build_model(settings)
        try:
            async with model.stream(asked.repairing("A cat on a sill."), None) as chunks:
                return "".join([chunk.text async for chunk in chunks])
        finally:
            await model.close()

    written = asyncio.run(work())
    assert re.match(r'\s*\{\s*"description"\s*:\s*"', written), written[:80]
    assert set(read(written, asked.wanted, cut=True).fields) <= {"altText"}


def test_what_is_asked_for_besides_comes_by_schema(seeing: Server) -> None:
    """Through our own client, from a model that talks nonsense: an object, or a cut one."""
    settings = replace(settings_for(seeing), outputs=("alt_text", "decorative"))
    instructions = replace(
        instructions_for("a", settings), model=INSTRUCTIONS.model, max_output_tokens=160
    )

    async def work() -> str:
        model = build_model(settings)
        image = Image("image/png", 9, uri=_data_url())
        try:
            async with model.stream(instructions, image) as chunks:
                return "".join([chunk.text async for chunk in chunks])
        finally:
            await model.close()

    written = asyncio.run(work())
    assert re.match(r'\s*\{\s*"description"\s*:\s*"', written), written[:80]
    found = read(written, instructions.wanted, cut=True)
    assert found.description == visible(written)
    assert set(found.fields) <= {"altText", "decorative"}
