"""A request and its answer, whatever server they pass through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        method: of HTTP.
        path: without the query, percent-decoded.
        query: the first value of each parameter.
        headers: by name in lower case.
        origin: scheme and host under which the page itself is served.
        body: whole; bounded by whoever read it.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    origin: str
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: HTTPStatus
    content_type: str = "text/plain; charset=utf-8"
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The request is answered with this status and sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
