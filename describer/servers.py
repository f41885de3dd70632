"""What each kind of model server takes and how it says no: one table, from its own pages. Pure.

    kind = auto ──► told from the address: host, a name in it, or the port of a default install
         = other ─► as the operator says (MODEL_SERVER)

docs/models.md shows the table; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """What one kind of server takes. The defaults are what every one of them takes.

    Attributes:
        accepts: types of images that it decodes; anything else is not sent to it.
        inline_limit_bytes: of an image inside the request, before base64.
        uri_limit_bytes: of an image that the server reads at `gs://`; None: it reads none.
        image_url: `object` is {"url": ...}, `string` the address itself.
        limit_name: of the parameter that bounds the output.
        stream_options: whether usage is to be asked for; others send it anyhow or never.
        system_role: of the message with the instructions.
        structured: what a schema for the answer is sent as; None: it cannot be asked for.
        details: what `detail` of `image_url` may be; none: it is not known.
        efforts: what `reasoning_effort` may be, for models that think; none: it is not known.
        economy: the header, and its value, that asks for the cheaper lane; None: there is none.
        permanent: words of an error answer that no other try changes, whatever its status.
        sources: where all this is said.
    """

    accepts: frozenset[str]
    inline_limit_bytes: int
    sources: tuple[str, ...]
    uri_limit_bytes: int | None = None
    image_url: Literal["object", "string"] = "object"
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_options: bool = True
    system_role: Literal["system", "developer"] = "system"
    structured: Literal["json_schema", "json_object"] | None = "json_schema"
    details: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    economy: tuple[str, str] | None = None
    permanent: tuple[str, ...] = ()

    @property
    def takes_uri(self) -> bool:
        """Whether the server itself reads `gs://`."""
        return self.uri_limit_bytes is not None


# A bound of our own but for OpenAI, whose page had it for one image: the others' name none.
_INLINE_BYTES = 20 * _MB

_COMMON = frozenset({"image/jpeg", "image/png"})
_WEB = _COMMON | {"image/webp"}
_GEMINI = _WEB | {"image/heic", "image/heif"}
# What llama.cpp answers with 500 and means for good. Measured, tests/integration/test_llama.py:
# an image for a model that sees none, `image_url` as text. A gateway passes the words on.
_LLAMA_REFUSALS = ("image input is not supported", "Invalid base64", "Failed to load image")

SERVERS: Mapping[str, Server] = MappingProxyType(
    {
        # Its limits are the model cards', "Technical specifications". From Gemini 3 on `detail` is
        # the image's `media_resolution`.
        "vertex": Server(
            accepts=_GEMINI,
            inline_limit_bytes=7 * _MB,
            uri_limit_bytes=30 * _MB,
            details=("low", "high"),
            efforts=("low", "medium", "high"),
            economy=("X-Vertex-AI-LLM-Shared-Request-Type", "flex"),
            sources=(
                "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/flex-paygo",
                "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/migrate/openai/overview",
                "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/image-understanding",
            ),
        ),
        # A request is 20 MB at most, and base64 takes four bytes for three.
        "gemini": Server(
            accepts=_GEMINI,
            inline_limit_bytes=14 * _MB,
            efforts=("none", "minimal", "low", "medium", "high"),
            sources=(
                "https://ai.google.dev/gemini-api/docs/openai",
                "https://ai.google.dev/gemini-api/docs/image-understanding",
            ),
        ),
        # GIF too, but not one that moves, which its type does not tell.
        "openai": Server(
            accepts=_WEB,
            inline_limit_bytes=_INLINE_BYTES,
            limit_name="max_completion_tokens",
            details=("auto", "low", "high", "original"),
            efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
            sources=(
                "https://developers.openai.com/api/docs/guides/images-vision",
                "https://platform.openai.com/docs/api-reference/chat/create",
            ),
        ),
        # stb_image decodes: no WebP. Of GIF it shows the first frame, which may be empty.
        "llama.cpp": Server(
            accepts=_COMMON | {"image/bmp"},
            inline_limit_bytes=_INLINE_BYTES,
            permanent=_LLAMA_REFUSALS,
            sources=(
                "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
                "https://github.com/ggml-org/llama.cpp/issues/13566",
            ),
        ),
        # Pillow decodes whatever it can, and Exif turns nothing; these are what it always can.
        # `detail` is "not supported". Up to 0.15 it answers 400 to all efforts but low to high.
        "vllm": Server(
            accepts=_WEB,
            inline_limit_bytes=_INLINE_BYTES,
            efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
            sources=(
                "https://github.com/vllm-project/vllm/blob/main/docs/serving/online_serving/openai_compatible_server.md",
                "https://github.com/vllm-project/vllm/blob/main/vllm/multimodal/media/image.py",
                "https://github.com/ls1intum/edutelligence/pull/750",
                "https://github.com/llm-jp/llm-jp-judge/pull/56",
            ),
        ),
        # Told by the beginning of the data URL: jpeg, jpg, png, webp; else 400. Older versions
        # answer 400 to other efforts than none, low, medium and high.
        "ollama": Server(
            accepts=_WEB,
            inline_limit_bytes=_INLINE_BYTES,
            efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
            sources=(
                "https://docs.ollama.com/api/openai-compatibility",
                "https://github.com/ollama/ollama/blob/main/openai/openai.go",
            ),
        ),
        # Its page names WebP as well, which this route was seen to refuse with 400.
        "lmstudio": Server(
            accepts=_COMMON,
            inline_limit_bytes=_INLINE_BYTES,
            sources=(
                "https://lmstudio.ai/docs/developer/openai-compat",
                "https://lmstudio.ai/docs/python/llm-prediction/image-input",
                "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/1839",
            ),
        ),
        # A gateway: what is behind it decides, so it is sent what all take. Its page names no type.
        "litellm": Server(
            accepts=_COMMON,
            inline_limit_bytes=_INLINE_BYTES,
            details=("auto", "low", "high"),
            efforts=("none", "minimal", "low", "medium", "high"),
            permanent=_LLAMA_REFUSALS,
            sources=(
                "https://docs.litellm.ai/docs/completion/vision",
                "https://docs.litellm.ai/docs/reasoning_content",
                "https://github.com/BerriAI/litellm/pull/27039",
                "https://github.com/BerriAI/litellm/pull/17662",
            ),
        ),
        # What is left when all of the above are agreed with.
        "unknown": Server(
            accepts=_COMMON,
            inline_limit_bytes=_INLINE_BYTES,
            structured=None,
            permanent=_LLAMA_REFUSALS,
            sources=("what all of the others take",),
        ),
    }
)

# The first that fits wins. A port tells only where no other program of this kind has it by
# default: 8000 and 8080 are everybody's.
_HOSTS: tuple[tuple[str, str], ...] = (
    (r"(.*[-.])?aiplatform(\.[a-z]+\.rep)?\.googleapis\.com", "vertex"),
    (r"generativelanguage\.googleapis\.com", "gemini"),
    (r"(.*\.)?openai\.com|.*\.openai\.azure\.com", "openai"),
    (r"(.*[-._])?ollama([-._].*)?", "ollama"),
    (r"(.*[-._])?vllm([-._].*)?", "vllm"),
    (r"(.*[-._])?litellm([-._].*)?", "litellm"),
    (r"(.*[-._])?(llama-?cpp|llama-server)([-._].*)?", "llama.cpp"),
    (r"(.*[-._])?lm-?studio([-._].*)?", "lmstudio"),
)
_PORTS: Mapping[int, str] = {11434: "ollama", 1234: "lmstudio", 4000: "litellm"}


def kind_of(base_url: str | None) -> str:
    """Tell the kind of the server at an address; None is Vertex AI, where no address is set."""
    if base_url is None:
        return "vertex"
    parts = urlsplit(base_url)
    for pattern, kind in _HOSTS:
        if re.fullmatch(pattern, parts.hostname or ""):
            return kind
    return _PORTS.get(parts.port or 0, "unknown")
