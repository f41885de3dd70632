"""What a chat completion request asks of the stand-in, and the text that answers its picture."""

import asyncio
import base64
import binascii
import json
import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from local.http import call
from local.standin import faults
from local.standin.faults import Step
from local.standin.pixels import UnreadableImageError, text_for
from local.standin.samples import BY_HAND, digest, texts_by_digest

# A key of the object that is asked for, in a line of its own.
_KEY = re.compile(r'^- "(\w+)":', re.MULTILINE)
# Texts by digest: a picture sent again is not measured again.
_known: dict[str, str] = {}


class RefusedError(Exception):
    """The request is answered with an error status, as `step` says."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.get("message"))
        self.step = step


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        model: as asked for.
        prompt: all text parts of all messages, a line each.
        image: `sha256:...` of inline bytes, the `gs://` URI, or None.
        inline: the inline bytes, or empty.
        stream: whether chunks are wanted.
        lane: `flex` where Vertex AI's cheaper lane is asked for.
    """

    model: str
    prompt: str
    image: str | None
    inline: bytes
    stream: bool
    lane: str = ""

    def mentions(self, words: str | None) -> bool:
        """Tell whether the words are in the image's name or digest, model, lane or prompt."""
        said = f"{self.image}\n{self.model}\n{self.lane}\n{self.prompt}"
        return words is None or words in said


def parse(body: bytes, lane: str = "") -> Asked:
    """Read a request.

    Raises:
        RefusedError: it is not a chat completion request, or its image is not one.
    """
    try:
        asked = json.loads(body)
        messages = list(asked["messages"])
        texts, images = _parts(messages)
        name, inline = _image(images[-1]) if images else (None, b"")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"The body is not a chat completion request: {error!r}."
        raise RefusedError(faults.status(400, message=message)) from error
    model, stream = str(asked.get("model", "")), bool(asked.get("stream"))
    return Asked(model, "\n".join(texts), name, inline, stream, lane)


async def answer(asked: Asked) -> str:
    """Describe the request's picture by what can be measured in it, or by the sample's own text.

    Where the words ask for a JSON object, it is one: with the keys that they name, as far as
    something that does not see can fill them.

    Raises:
        RefusedError: it cannot be fetched or decoded, or is no sample where one is meant.
    """
    text = await _description(asked)
    keys = _KEY.findall(asked.prompt)
    return _as_object(text, keys) if keys else text


async def _description(asked: Asked) -> str:
    if asked.image is None:
        return "Stand-in answer: no picture was sent, so there is nothing to measure."
    image, name = asked.inline, asked.image
    if name.startswith("gs://"):
        image = await asyncio.to_thread(_fetch, name)
        name = digest(image)
    if asked.model == BY_HAND:
        if name in texts_by_digest():
            return texts_by_digest()[name]
        message = f"{BY_HAND} knows the shipped samples only; give another image another name."
        raise RefusedError(faults.status(400, message=message))
    if name not in _known:
        try:
            _known[name] = await asyncio.to_thread(text_for, image)
        except UnreadableImageError as error:
            message = f"Unable to process input image. {error}"
            raise RefusedError(faults.status(400, message=message)) from error
    return _known[name]


def _as_object(text: str, keys: list[str]) -> str:
    first, _, _ = text.partition(". ")
    known = {"description": text, "altText": first, "decorative": False, "tags": ["stand-in"]}
    return json.dumps({key: known[key] for key in keys if key in known}, ensure_ascii=False)


def _parts(messages: list[dict[str, Any]]) -> tuple[list[str], list[Any]]:
    texts: list[str] = []
    images: list[Any] = []
    for message in messages:
        content = message.get("content") or []
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image_url":
                images.append(part["image_url"])
    return texts, images


def _image(image_url: Any) -> tuple[str, bytes]:
    url: str = image_url if isinstance(image_url, str) else image_url["url"]
    if url.startswith("gs://"):
        return url, b""
    head, _, body = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError(f"unsupported image URL {head[:60]}")
    try:
        image = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError(f"image that is not base64, {error}") from error
    return digest(image), image


def _fetch(uri: str) -> bytes:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    host = os.environ.get("STORAGE_EMULATOR_HOST")
    if not host:
        message = "gs:// images need STORAGE_EMULATOR_HOST."
        raise RefusedError(faults.status(400, message=message))
    url = f"{host}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
    try:
        response = call("GET", url)
    except OSError as error:
        raise RefusedError(faults.status(503, message=f"Cannot read {uri}: {error}")) from error
    if not response.is_success:
        message = f"Cannot read {uri}: {response.reason_phrase}"
        raise RefusedError(faults.status(response.status_code, message=message))
    return bytes(response.content)
