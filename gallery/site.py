"""The gallery: the page's files, its settings, the pictures, and a way into the bucket.

    GET    /                    the page
    GET    /config.json         what it is told (web/src/config.ts)
    GET    /pictures/ID         the picture of a record, for who may read the record
    POST   /uploads             where and how a new object of this name can be put
    POST   /session             takes the ID token by which pictures are asked for; says who it is
    DELETE /session             forgets it

A picture is asked for by its record's id, never by a name: which object that is, the record says,
and who may see it, the security rules say, because the record is read with the asker's own rights.
"""

import gzip
import hashlib
import json
import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Protocol

from gallery.exchange import Answer, RefusedError, Request

FILES = ("index.html", "app.js", "style.css", "icon.svg")
MAX_BODY_BYTES = 16 * 2**10
MAX_WIDTH = 2048
_COOKIE = "token"
_ID = re.compile(r"[0-9a-f]{64}")
_NAME_BYTES = 1024
_SELF = "'self'"


@dataclass(frozen=True)
class Stored:
    """The object that a record speaks of.

    Attributes:
        bucket: its bucket.
        name: its name.
        generation: the bytes that were described. None: those that are there now, since a person
            wrote the words, which stay whatever is uploaded under this name.
    """

    bucket: str
    name: str
    generation: int | None


@dataclass(frozen=True)
class User:
    """Who has signed in.

    Attributes:
        id: Firebase's `uid`.
        email: "" without one.
        writer: whether `writers` names this address, and it is verified.
        seconds: until the token expires.
    """

    id: str
    email: str
    writer: bool
    seconds: int


class Records(Protocol):
    """Knows the records."""

    def find(self, record: str, token: str | None) -> Stored:
        """Find what a record speaks of, with the rights of whoever has this ID token.

        Raises:
            RefusedError: they may not read it, or there is none.
        """


class Pictures(Protocol):
    """Knows how a picture gets to the browser."""

    def show(self, stored: Stored, width: int | None) -> Answer:
        """Give the picture, or where it is; at most so many pixels wide, where it can be scaled."""


class Uploads(Protocol):
    """Knows how a file gets into the bucket."""

    def allow(self, name: str, content_type: str, size: int, user: User | None) -> dict[str, Any]:
        """Give `url` and `headers` of the PUT that makes this object.

        Raises:
            RefusedError: this user may not, or not such a file.
        """


class Tokens(Protocol):
    """Knows who has signed in."""

    def user(self, token: str) -> User:
        """Tell who has this ID token.

        Raises:
            RefusedError: it is none of this project's, or not valid any more.
        """


def policy(*, connect: Sequence[str], images: Sequence[str] = ()) -> str:
    """Write the page's content security policy: its own server, and these hosts, only."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src {' '.join((_SELF, *images))}; connect-src {' '.join((_SELF, *connect))}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Site:
    """Answers requests.

    Args:
        page: folder of the built page.
        config: what the page is told.
        policy: what it may ask.
        records: what pictures there are.
        pictures: how they are shown.
        uploads: how files are taken; None: not at all.
        tokens: who is signed in; None: nobody can.
    """

    def __init__(
        self,
        *,
        page: Path,
        config: Mapping[str, Any],
        policy: str,
        records: Records,
        pictures: Pictures,
        uploads: Uploads | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self._page = page
        self._config = json.dumps(config).encode()
        self._records = records
        self._pictures = pictures
        self._uploads = uploads
        self._tokens = tokens
        self._headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    def answer(self, request: Request) -> Answer:
        """Answer one request; with a sentence where it is refused."""
        try:
            answer = self._answer(request)
        except RefusedError as refused:
            answer = Answer(refused.status, content=str(refused).encode())
        return replace(answer, headers={**self._headers, **answer.headers})

    def _answer(self, request: Request) -> Answer:
        place = (request.method.replace("HEAD", "GET"), request.path)
        match place:
            case ("POST", "/uploads") if self._uploads is not None:
                return self._allow(self._uploads, request)
            case ("POST", "/session") if self._tokens is not None:
                return self._begin(self._tokens, request)
            case ("DELETE", "/session") if self._tokens is not None:
                _own_page(request)
                return _cookie("", 0, Answer(HTTPStatus.NO_CONTENT))
            case ("GET", "/config.json"):
                return Answer(HTTPStatus.OK, "application/json", self._config)
            case ("GET", path) if path.startswith("/pictures/"):
                return self._picture(path.removeprefix("/pictures/"), request)
            case ("GET", path) if (path.removeprefix("/") or FILES[0]) in FILES:
                return self._file(path.removeprefix("/") or FILES[0], request)
        raise RefusedError(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _file(self, name: str, request: Request) -> Answer:
        content = (self._page / name).read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Vary": "Accept-Encoding"}
        # A server on the way may have made a weak tag of it, by compressing.
        if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
            return Answer(HTTPStatus.NOT_MODIFIED, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            content = gzip.compress(content, mtime=0)
            headers["Content-Encoding"] = "gzip"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Answer(HTTPStatus.OK, kind, content, headers)

    def _picture(self, record: str, request: Request) -> Answer:
        if not _ID.fullmatch(record):
            raise RefusedError(HTTPStatus.NOT_FOUND, "No record has such an id.")
        width = request.query.get("width", "")
        if width and not (width.isascii() and width.isdigit() and 0 < int(width) <= MAX_WIDTH):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"A width is 1 to {MAX_WIDTH}.")
        token = None
        if self._tokens is not None and (token := _cookie_of(request)) is not None:
            self._tokens.user(token)
        stored = self._records.find(record, token)
        answer = self._pictures.show(stored, int(width) if width else None)
        # Kept by the browser only under the address of just these bytes.
        if request.query.get("generation") == str(stored.generation):
            return answer
        return replace(answer, headers={**answer.headers, "Cache-Control": "no-cache"})

    def _allow(self, uploads: Uploads, request: Request) -> Answer:
        _own_page(request)
        user = None if self._tokens is None else self._tokens.user(_bearer(request))
        name, kind, size = _upload(request.body)
        allowed = uploads.allow(name, kind, size, user)
        return Answer(HTTPStatus.OK, "application/json", json.dumps(allowed).encode())

    def _begin(self, tokens: Tokens, request: Request) -> Answer:
        _own_page(request)
        token = _bearer(request)
        user = tokens.user(token)
        told = json.dumps({"email": user.email, "writer": user.writer}).encode()
        return _cookie(token, user.seconds, Answer(HTTPStatus.OK, "application/json", told))


def _own_page(request: Request) -> None:
    """Refuse other pages: a browser names the page that sends, and no script can name this one."""
    if request.headers.get("origin") != request.origin:
        raise RefusedError(HTTPStatus.FORBIDDEN, "Only the gallery's own page asks for this.")


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "Sign in first.")
    return token


def _cookie_of(request: Request) -> str | None:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and found.value else None


def _cookie(token: str, seconds: int, answer: Answer) -> Answer:
    """Let the browser keep a token where no script reads it, and send it for pictures alone."""
    value = f"{_COOKIE}={token}; Path=/pictures/; Max-Age={seconds}; HttpOnly; Secure"
    return replace(answer, headers={"Set-Cookie": f"{value}; SameSite=Strict"})


def _upload(body: bytes) -> tuple[str, str, int]:
    match _json(body):
        case {"name": str(name), "type": str(kind), "size": int(size)} if size > 0:
            try:
                length = len(name.encode())
            except UnicodeEncodeError:
                length = 0
            # https://cloud.google.com/storage/docs/objects#naming
            fits = 0 < length <= _NAME_BYTES and name not in {".", ".."}
            if fits and "\n" not in name and "\r" not in name:
                return name, kind, size
    raise RefusedError(HTTPStatus.BAD_REQUEST, "Expected an object's name, type and size.")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
