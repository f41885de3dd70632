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
        efforts: what `reasoning_effort` may be, for models that think; none: it is not known.
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
    efforts: tuple[str, ...] = ()
    permanent: tuple[str, ...] = ()

    @property
    def takes_uri(self) -> bool:
        """Whether the server itself reads `gs://`."""
        return self.uri_limit_bytes is not None


_COMMON = frozenset({"image/jpeg", "image/png"})
_WEB = _COMMON | {"image/webp"}
_GEMINI = _WEB | {"image/heic", "image/heif"}
# What llama.cpp answers with 500 and means for good. Measured, tests/integration/test_llama.py:
# an image for a model that sees none, `image_url` as text. A gateway passes the words on.
_LLAMA_REFUSALS = ("image input is not supported", "Invalid base64", "Failed to load image")

SERVERS: Mapping[str, Server] = MappingProxyType(
    {
        # Its limits are the model cards', "Technical specifications".
        "vertex": Server(
            accepts=_GEMINI,
            inline_limit_bytes=7 * _MB,
            uri_limit_bytes=30 * _MB,
            efforts=("low", "medium", "high"),
            sources=(
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
            inline_limit_bytes=20 * _MB,
            limit_name="max_completion_tokens",
            efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
            sources=(
                "https://developers.openai.com/api/docs/guides/images-vision",
                "https://platform.openai.com/docs/api-reference/chat/create",
            ),
        ),
        # stb_image decodes: no WebP. Of GIF it shows the first frame, which may be empty.
        "llama.cpp": Server(
            accepts=_COMMON | {"image/bmp"},
            inline_limit_bytes=20 * _MB,
            permanent=_LLAMA_REFUSALS,
            sources=(
                "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
                "https://github.com/ggml-org/llama.cpp/issues/13566",
            ),
        ),
        # Pillow decodes, so it takes more; these are what its own tests send.
        "vllm": Server(
            accepts=_WEB,
            inline_limit_bytes=20 * _MB,
            efforts=("none", "low", "medium", "high"),
            sources=(
                "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
                "https://docs.vllm.ai/en/latest/features/multimodal_inputs.html",
            ),
        ),
        # Told by the beginning of the data URL: jpeg, jpg, png, webp; else 400.
        "ollama": Server(
            accepts=_WEB,
            inline_limit_bytes=20 * _MB,
            efforts=("none", "low", "medium", "high"),
            sources=(
                "https://docs.ollama.com/api/openai-compatibility",
                "https://github.com/ollama/ollama/blob/main/openai/openai.go",
            ),
        ),
        # Its page names WebP as well, which this route was seen to refuse with 400.
        "lmstudio": Server(
            accepts=_COMMON,
            inline_limit_bytes=20 * _MB,
            sources=(
                "https://lmstudio.ai/docs/developer/openai-compat",
                "https://lmstudio.ai/docs/python/llm-prediction/image-input",
                "https://github.com/deepseek-ai/deepseek-harness/discussions/4615",
            ),
        ),
        # A gateway: what is behind it decides, so it is sent what all take.
        "litellm": Server(
            accepts=_COMMON,
            inline_limit_bytes=20 * _MB,
            efforts=("none", "minimal", "low", "medium", "high"),
            permanent=_LLAMA_REFUSALS,
            sources=(
                "https://docs.litellm.ai/docs/completion/vision",
                "https://docs.litellm.ai/docs/reasoning_content",
            ),
        ),
        # What is left when all of the above are agreed with.
        "unknown": Server(
            accepts=_COMMON,
            inline_limit_bytes=20 * _MB,
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
