"""Signed URLs of Cloud Storage: a picture to look at, or a place to put a file, for minutes."""

import base64
import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from google.auth import exceptions

from gallery.exchange import Answer, RefusedError
from gallery.site import Stored, User

PICTURE_SECONDS = 600
# A large file over a slow line begins within it; it may take longer to end.
UPLOAD_SECONDS = 900
_TIMEOUT_SECONDS = 10
_ALGORITHM = "GOOG4-RSA-SHA256"
_ANY_TYPE = "application/octet-stream"


class AccountSigner:
    """Signs as a service account that may sign as itself: no key of it is ever made.

    Args:
        url: `https://iamcredentials.googleapis.com`.
        account: address of the account.
        session: how it is asked, with the account's own credentials.

    Source: https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob
    """

    def __init__(self, url: str, account: str, session: requests.Session) -> None:
        self.account = account
        self._url = f"{url}/v1/projects/-/serviceAccounts/{account}:signBlob"
        self._session = session

    def __call__(self, message: bytes) -> bytes:
        """Sign with SHA-256 and RSA.

        Raises:
            RefusedError: it cannot be signed now (502).
        """
        payload = {"payload": base64.b64encode(message).decode()}
        try:
            answer = self._session.post(self._url, json=payload, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            return base64.b64decode(answer.json()["signedBlob"])
        except (requests.RequestException, exceptions.GoogleAuthError) as error:
            raise RefusedError(HTTPStatus.BAD_GATEWAY, "Nothing can be signed.") from error


class Urls:
    """Makes signed URLs.

    Args:
        url: `https://storage.googleapis.com`.
        account: whose rights they carry.
        sign: signs as this account.
        now: the time, aware.

    Source: https://cloud.google.com/storage/docs/access-control/signing-urls-manually
    """

    def __init__(
        self,
        url: str,
        account: str,
        sign: Callable[[bytes], bytes],
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._url = url
        self._account = account
        self._sign = sign
        self._now = now

    def sign(
        self,
        method: str,
        bucket: str,
        name: str,
        *,
        seconds: int,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Sign one request for an object.

        Args:
            method: of HTTP.
            bucket: its bucket.
            name: its name.
            seconds: for which the URL is good.
            query: parameters besides.
            headers: names in lower case; the request must carry just these.
        """
        time = self._now().strftime("%Y%m%dT%H%M%SZ")
        scope = f"{time[:8]}/auto/storage/goog4_request"
        signed_headers = {"host": urlsplit(self._url).netloc, **(headers or {})}
        names = ";".join(sorted(signed_headers))
        parameters = {
            **(query or {}),
            "X-Goog-Algorithm": _ALGORITHM,
            "X-Goog-Credential": f"{self._account}/{scope}",
            "X-Goog-Date": time,
            "X-Goog-Expires": str(seconds),
            "X-Goog-SignedHeaders": names,
        }
        asked = "&".join(f"{key}={quote(parameters[key], safe='')}" for key in sorted(parameters))
        path = f"/{bucket}/{quote(name, safe='/')}"
        lines = [f"{key}:{signed_headers[key]}" for key in sorted(signed_headers)]
        request = "\n".join([method, path, asked, *lines, "", names, "UNSIGNED-PAYLOAD"])
        digest = hashlib.sha256(request.encode()).hexdigest()
        signature = self._sign("\n".join([_ALGORITHM, time, scope, digest]).encode()).hex()
        return f"{self._url}{path}?{asked}&X-Goog-Signature={signature}"


class SignedPictures:
    """Sends the browser to the object itself, whole: nothing is scaled here.

    Args:
        urls: signs.
        buckets: those whose pictures are shown.
    """

    def __init__(self, urls: Urls, buckets: frozenset[str]) -> None:
        self._urls = urls
        self._buckets = buckets

    def show(self, stored: Stored, width: int | None) -> Answer:  # noqa: ARG002 - the port's
        """Give where the picture is for the next minutes.

        Raises:
            RefusedError: the record names another bucket (404).
        """
        if stored.bucket not in self._buckets:
            raise RefusedError(HTTPStatus.NOT_FOUND, "No picture of this bucket is shown.")
        pinned = {} if stored.generation is None else {"generation": str(stored.generation)}
        url = self._urls.sign(
            "GET", stored.bucket, stored.name, seconds=PICTURE_SECONDS, query=pinned
        )
        # As long again as the browser keeps it, it is still good.
        cache = f"private, max-age={PICTURE_SECONDS // 2}"
        headers = {"Location": url, "Cache-Control": cache, "Vary": "Cookie"}
        return Answer(HTTPStatus.FOUND, headers=headers)


class SignedUploads:
    """Lets writers put new objects into one bucket; none is overwritten.

    Args:
        urls: signs.
        bucket: where they go.
        max_bytes: the largest file.
    """

    def __init__(self, urls: Urls, bucket: str, max_bytes: int) -> None:
        self._urls = urls
        self._bucket = bucket
        self._max_bytes = max_bytes

    def allow(self, name: str, content_type: str, size: int, user: User | None) -> dict[str, Any]:
        """Give `url` and `headers` of the PUT that makes this object, of just this type and size.

        Raises:
            RefusedError: this user may not (403), or it is no image (415) or too large (413).
        """
        if user is None or not user.writer:
            raise RefusedError(HTTPStatus.FORBIDDEN, "You may not upload here.")
        if not (content_type.startswith("image/") or content_type == _ANY_TYPE):
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Only images are taken.")
        if not content_type.isascii() or not content_type.isprintable():
            raise RefusedError(HTTPStatus.BAD_REQUEST, "There is no such type.")
        if size > self._max_bytes:
            most = f"At most {self._max_bytes // 2**20} MiB here."
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
        # https://cloud.google.com/storage/docs/xml-api/reference-headers
        headers = {
            "content-type": content_type,
            "x-goog-content-length-range": f"{size},{size}",
            "x-goog-if-generation-match": "0",
        }
        url = self._urls.sign("PUT", self._bucket, name, seconds=UPLOAD_SECONDS, headers=headers)
        return {"url": url, "headers": headers}
