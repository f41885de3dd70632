"""Serves the gallery on this machine: the site of the cloud, over the emulators.

    python -m local.gallery.server --port PORT --storage URL --config JSON --page FOLDER

Besides what `gallery/site.py` lists:

    GET  /pictures/ID?width=    a small picture, upright
    PUT  /uploads/NAME          a new object of these bytes

It listens on this machine only. Any page in the same browser could call it, though: it answers
under its own name alone, and takes files from its own page alone.
"""

import argparse
import functools
import io
import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from PIL import Image, ImageOps

from gallery.exchange import Answer, RefusedError, Request
from gallery.records import FirestoreRecords
from gallery.site import MAX_BODY_BYTES, MAX_WIDTH, Site, Stored, User, policy
from local.http import call, session
from local.servers.bucket import upload_url

LOOPBACK = "127.0.0.1"
MAX_UPLOAD_BYTES = 100 * 2**20
# What a browser shows as it is; anything else that can be decoded is sent as JPEG.
_SHOWN = frozenset({"AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP"})
# Decoding needs memory, and a page asks for sixty at once.
_decoding = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class Picture:
    """A picture as it is sent."""

    content_type: str
    content: bytes


@dataclass(frozen=True)
class Bucket:
    """One bucket of a Cloud Storage server without authentication."""

    url: str
    name: str

    def read(self, name: str) -> bytes:
        """Read an object."""
        path = f"/storage/v1/b/{self.name}/o/{quote(name, safe='')}?alt=media"
        answer = call("GET", self.url + path)
        if not answer.is_success:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such object.")
        return bytes(answer.content)

    def write(self, name: str, content: bytes, content_type: str) -> int:
        """Write an object, and give its generation."""
        url = upload_url(self.url, name, self.name)
        answer = call("POST", url, body=content, headers={"Content-Type": content_type})
        if not answer.is_success:
            raise RefusedError(HTTPStatus.BAD_GATEWAY, f"The bucket said {answer.status_code}.")
        return int(answer.json()["generation"])


def shown(content: bytes, width: int | None) -> Picture:
    """Make of an object's bytes what a browser can show.

    Args:
        content: the bytes, of whatever they are.
        width: largest width in pixels; None: as it is.

    Raises:
        RefusedError: it is no picture that can be decoded here.
    """
    try:
        with _decoding, Image.open(io.BytesIO(content)) as image:
            kind = str(image.format)
            if width is None and kind in _SHOWN:
                return Picture(Image.MIME[kind], content)
            return _small(image, width or MAX_WIDTH)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        message = "This cannot be shown."
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message) from error


def _small(image: Image.Image, width: int) -> Picture:
    size = (width, width * 4)
    image.draft("RGB", size)
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail(size)
    flat = Image.new("RGB", upright.size, "white")
    layers = upright.convert("RGBA")
    flat.paste(layers, mask=layers.getchannel("A"))
    made = io.BytesIO()
    flat.save(made, "JPEG", quality=82)
    return Picture("image/jpeg", made.getvalue())


class Pictures:
    """Sends the pictures of one bucket themselves, decoded once."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._small = functools.lru_cache(maxsize=1024)(self._scaled)

    def show(self, stored: Stored, width: int | None) -> Answer:
        """Give the picture, at most so many pixels wide.

        Raises:
            RefusedError: it is of another bucket, or gone (404), or no picture (415).
        """
        if stored.bucket != self._bucket.name:
            raise RefusedError(HTTPStatus.NOT_FOUND, "No picture of this bucket is shown.")
        if width is None:
            picture = shown(self._bucket.read(stored.name), None)
        elif stored.generation is None:
            picture = shown(self._bucket.read(stored.name), width)
        else:
            picture = self._small(stored.name, stored.generation, width)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Answer(HTTPStatus.OK, picture.content_type, picture.content, headers)

    def _scaled(self, name: str, _generation: int, width: int) -> Picture:
        return shown(self._bucket.read(name), width)


class Uploads:
    """Takes files from everybody who sees the page: there is one person at this machine."""

    def allow(self, name: str, content_type: str, size: int, user: User | None) -> dict[str, Any]:  # noqa: ARG002 - the port's
        """Give `url` and `headers` of the PUT that makes this object.

        Raises:
            RefusedError: it is too large (413).
        """
        _check_size(size)
        headers = {"content-type": content_type}
        return {"url": f"/uploads/{quote(name, safe='')}", "headers": headers}


class Gallery:
    """What all requests share: the site, and the bucket that files go into."""

    def __init__(self, page: Path, config: dict[str, Any], storage_url: str) -> None:
        self.takes_files = bool(config["uploads"])
        self.bucket = Bucket(storage_url, config["bucket"])
        emulator = "http://{host}:{port}".format_map(config["emulator"])
        self.site = Site(
            page=page,
            config=config,
            policy=policy(connect=[emulator]),
            records=FirestoreRecords(
                emulator,
                project=config["project"],
                database=config["database"],
                collection=config["collection"],
                key="",
                session=session(),
            ),
            pictures=Pictures(self.bucket),
            uploads=Uploads() if self.takes_files else None,
        )


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    gallery: Gallery

    def do_GET(self) -> None:
        """Answer with a file of the page, its settings, or a picture."""
        self._guarded(lambda: self._site(b""))

    def do_POST(self) -> None:
        """Say where a file can be put."""
        self._guarded(lambda: self._site(self.rfile.read(self._length(MAX_BODY_BYTES))))

    def do_PUT(self) -> None:
        """Take a file."""
        self._guarded(self._put)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing: what matters is in the page."""

    def _guarded(self, answer: Callable[[], Answer]) -> None:
        try:
            self._check_host()
            self._send(answer())
        except RefusedError as refused:
            self._send(Answer(refused.status, content=str(refused).encode()))
        except ConnectionError as error:
            sentence = f"The bucket does not answer: {error}"
            self._send(Answer(HTTPStatus.BAD_GATEWAY, content=sentence.encode()))

    def _site(self, body: bytes) -> Answer:
        address = urlsplit(self.path)
        return self.gallery.site.answer(
            Request(
                method=self.command,
                path=unquote(address.path),
                query=dict(parse_qsl(address.query)),
                headers={name.lower(): value for name, value in self.headers.items()},
                origin=self._origin(),
                body=body,
            )
        )

    def _put(self) -> Answer:
        if not self.gallery.takes_files or not self.path.startswith("/uploads/"):
            raise RefusedError(HTTPStatus.NOT_FOUND, "Nothing is taken here.")
        # A browser names the page that sends; a form or script elsewhere cannot name this one.
        if self.headers["Origin"] != self._origin():
            raise RefusedError(HTTPStatus.FORBIDDEN, "Only the gallery's own page uploads here.")
        content = self.rfile.read(self._length(MAX_UPLOAD_BYTES))
        kind = self.headers["Content-Type"] or "application/octet-stream"
        name = _name(self.path.removeprefix("/uploads/"))
        generation = self.gallery.bucket.write(name, content, kind)
        # As Cloud Storage tells it.
        return Answer(HTTPStatus.OK, headers={"x-goog-generation": str(generation)})

    def _length(self, most: int) -> int:
        length = self.headers["Content-Length"] or ""
        if not length.isascii() or not length.isdigit():
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "How many bytes?")
        _check_size(int(length), most)
        return int(length)

    def _origin(self) -> str:
        return f"http://{self.headers['Host']}"

    def _check_host(self) -> None:
        """Refuse a foreign name that was made to lead here (DNS rebinding)."""
        assert isinstance(self.server, Server)
        port = self.server.server_port
        if self.headers["Host"] not in {f"{LOOPBACK}:{port}", f"localhost:{port}"}:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Not this host's name.")

    def _send(self, answer: Answer) -> None:
        if answer.status >= HTTPStatus.BAD_REQUEST and self.command != "GET":
            # Its body may not have been read.
            self.close_connection = True
        self.send_response(answer.status)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)


def _check_size(size: int, most: int = MAX_UPLOAD_BYTES) -> None:
    if size > most:
        sentence = f"At most {most // 2**20} MiB here."
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)


def _name(path: str) -> str:
    """Give the object's name out of one percent-encoded segment."""
    try:
        name = unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "A name is UTF-8.") from error
    if not name or "/" in path:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "A name is one segment.")
    return name


class Server(ThreadingHTTPServer):
    """Many connections, each in a thread that ends with the process."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Keep a browser that hung up out of the log; anything else is a defect, and told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*_)


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m local.gallery.server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--storage", required=True, metavar="URL")
    parser.add_argument("--config", type=json.loads, required=True, metavar="JSON")
    parser.add_argument("--page", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    gallery = Gallery(options.page, options.config, options.storage)
    handler = type("Handler", (Handler,), {"gallery": gallery})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server((LOOPBACK, options.port), handler).serve_forever()


if __name__ == "__main__":
    main()
