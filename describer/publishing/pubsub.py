"""Pub/Sub behind the publisher port.

Over its REST API with the HTTP client that is there for the model: the client library would be
four packages more to deploy, for one call.

Source: https://docs.cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish
"""

from __future__ import annotations

import asyncio
import base64
from urllib.parse import quote

import httpx2

from describer.errors import PublishError
from describer.model.token import AccessToken
from describer.model.translation import LIBRARY_ERRORS
from describer.publishing.message import Message

HOST = "https://pubsub.googleapis.com"
# One try: the next one is the delivery's, which comes again.
_ANSWER_SECONDS = 10.0


class PubSub:
    """See `describer.publishing.port.Publisher`."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        topic: str,
        *,
        host: str,
        source: str,
        token: AccessToken | None,
    ) -> None:
        """Keep how to publish; nothing is opened before the first message.

        Args:
            topic: its resource name, `projects/P/topics/T`.
            host: with its scheme.
            source: where the records stand, as the events' `source`.
            token: None for the emulator, which asks for none.
        """
        self._http = http
        self._topic = topic
        # A topic's id may hold `%`.
        self._url = f"{host}/v1/{quote(topic)}:publish"
        self._source = source
        self._token = token

    async def publish(self, message: Message) -> None:
        """See `Publisher.publish`."""
        token = await self._token() if self._token else ""
        attributes = {**message.attributes, "ce-source": self._source}
        content = base64.b64encode(message.content).decode()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await self._http.post(
                    self._url,
                    headers={"authorization": f"Bearer {token}"} if token else {},
                    json={"messages": [{"attributes": attributes, "data": content}]},
                )
        except TimeoutError as exc:
            raise PublishError(f"Pub/Sub gave no answer within {_ANSWER_SECONDS:g} s") from exc
        except LIBRARY_ERRORS as exc:
            raise PublishError(f"Pub/Sub: {type(exc).__name__}: {str(exc)[:300]}") from exc
        if response.status_code == 401 and self._token:
            self._token.refuse(token)
        # Without an id nothing is kept: a proxy's own page may come with 200, too.
        if not response.is_success or b'"messageIds"' not in response.content:
            # Not as `http_status`, by which the model's refusals are counted.
            raise PublishError(
                f"Pub/Sub answered {response.status_code} for {self._topic}: {response.text[:300]}"
            )

    async def close(self) -> None:
        """See `Publisher.close`."""
        await self._http.aclose()
