"""The one HTTP client of this folder.

Its servers are on this machine, so a proxy named in the environment is not for them.
"""

from collections.abc import Mapping

import httpx2

# Servers come and go at the same port: a connection is not kept for the next call.
_client = httpx2.Client(trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))


def call(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 30.0,
) -> httpx2.Response:
    """Make one call and give the answer, whatever its status.

    Raises:
        ConnectionError: there was none (refused, cut, timed out).
    """
    try:
        return _client.request(
            method, url, content=body, headers=dict(headers or {}), timeout=timeout_seconds
        )
    except httpx2.TransportError as error:
        raise ConnectionError(f"{method} {url}: {error or type(error).__name__}") from error
