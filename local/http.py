"""The one HTTP client of this folder.

Its servers are on this machine, so a proxy named in the environment is not for them; a model's may
be elsewhere.
"""

from collections.abc import Mapping
from typing import Any

import httpx2
import requests

# Servers come and go at the same port: a connection is not kept for the next call.
_LIMITS = httpx2.Limits(max_keepalive_connections=0)
_client = httpx2.Client(trust_env=False, limits=_LIMITS)


def session() -> requests.Session:
    """Give a session for code that is deployed and takes one, over servers on this machine."""
    made = requests.Session()
    made.trust_env = False
    return made


def call(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 30.0,
    anywhere: bool = False,
) -> httpx2.Response:
    """Make one call and give the answer, whatever its status.

    Args:
        method: of HTTP.
        url: whole.
        body: none by default.
        headers: besides the usual ones.
        timeout_seconds: for each step of it.
        anywhere: whether the server may be elsewhere, behind a proxy.

    Raises:
        ConnectionError: there was none (refused, cut, timed out).
    """
    given: dict[str, Any] = {
        "content": body,
        "headers": dict(headers or {}),
        "timeout": timeout_seconds,
    }
    try:
        if not anywhere:
            return _client.request(method, url, **given)
        with httpx2.Client(limits=_LIMITS) as client:
            return client.request(method, url, **given)
    except httpx2.TransportError as error:
        raise ConnectionError(f"{method} {url}: {error or type(error).__name__}") from error
