"""Serves the gallery: the built page, its settings, the bucket's pictures, and a way into it.

    python -m local.gallery.server --port PORT --storage URL --config JSON --page FOLDER

    GET  /                      the page
    GET  /config.json           what it is told (web/src/config.ts)
    GET  /pictures/NAME         a picture; with `?width=` a small one, upright
    PUT  /uploads/NAME          a new object of these bytes

It listens on this machine only. Any page in the same browser could call it, though: it answers
under its own name alone, and takes files from its own page alone.
"""

import argparse
import functools
import io
import json
import mimetypes
import signal
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from PIL import Image, ImageOps

from local.http import call
from local.servers.bucket import upload_url

LOOPBACK = "127.0.0.1"
MAX_UPLOAD_BYTES = 100 * 2**20
MAX_WIDTH = 2048
_PAGES = frozenset({"index.html", "app.js", "style.css", "icon.svg"})
# What a browser shows as it is; anything else that can be decoded is sent as JPEG.
_SHOWN = frozenset({"AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP"})
# Decoding needs memory, and a page asks for sixty at once.
_decoding = threading.BoundedSemaphore(2)


class RefusedError(Exception):
    """The request is answered with this status and sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


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


class Gallery:
    """What all requests share: the page's files, its settings, the bucket."""

    def __init__(self, page: Path, config: dict[str, Any], storage_url: str) -> None:
        self.page = page
        self.config = config
        self.bucket = Bucket(storage_url, config["bucket"])
        self.picture = functools.lru_cache(maxsize=1024)(self._picture)
        emulator = config["emulator"]
        self.policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            f"connect-src 'self' http://{emulator['host']}:{emulator['port']}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def _picture(self, name: str, _generation: str, width: int) -> Picture:
        return shown(self.bucket.read(name), width)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    gallery: Gallery

    def do_GET(self) -> None:
        """Answer with a file of the page, its settings, or a picture."""
        self._guarded(self._get)

    def do_PUT(self) -> None:
        """Take a file."""
        self._guarded(self._put)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing: what matters is in the page."""

    def _guarded(self, answer: Any) -> None:
        try:
            self._check_host()
            answer()
        except RefusedError as refused:
            self._send(refused.status, "text/plain; charset=utf-8", str(refused).encode())
        except ConnectionError as error:
            sentence = f"The bucket does not answer: {error}"
            self._send(HTTPStatus.BAD_GATEWAY, "text/plain; charset=utf-8", sentence.encode())

    def _get(self) -> None:
        address = urlsplit(self.path)
        if address.path.startswith("/pictures/"):
            self._send_picture(address.path.removeprefix("/pictures/"), address.query)
            return
        name = address.path.removeprefix("/") or "index.html"
        if name == "config.json":
            config = json.dumps(self.gallery.config).encode()
            self._send(HTTPStatus.OK, "application/json", config)
            return
        if name not in _PAGES:
            raise RefusedError(HTTPStatus.NOT_FOUND, "No such page.")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._send(HTTPStatus.OK, kind, (self.gallery.page / name).read_bytes())

    def _send_picture(self, path: str, query: str) -> None:
        asked = parse_qs(query)
        generation, width = asked.get("generation", [""])[0], asked.get("width", [""])[0]
        if width:
            if not width.isascii() or not width.isdigit() or not 0 < int(width) <= MAX_WIDTH:
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"A width is 1 to {MAX_WIDTH}.")
            picture = self.gallery.picture(_name(path), generation, int(width))
        else:
            picture = shown(self.gallery.bucket.read(_name(path)), None)
        self._send(
            HTTPStatus.OK, picture.content_type, picture.content, cache="private, max-age=3600"
        )

    def _put(self) -> None:
        if self.gallery.config["uploads"] is None or not self.path.startswith("/uploads/"):
            raise RefusedError(HTTPStatus.NOT_FOUND, "Nothing is taken here.")
        # A browser names the page that sends; a form or script elsewhere cannot name this one.
        if self.headers["Origin"] != f"http://{self.headers['Host']}":
            raise RefusedError(HTTPStatus.FORBIDDEN, "Only the gallery's own page uploads here.")
        length = self.headers["Content-Length"] or ""
        if not length.isascii() or not length.isdigit():
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "How many bytes?")
        if int(length) > MAX_UPLOAD_BYTES:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"At most {MAX_UPLOAD_BYTES // 2**20} MiB here.",
            )
        content = self.rfile.read(int(length))
        kind = self.headers["Content-Type"] or "application/octet-stream"
        name = _name(self.path.removeprefix("/uploads/"))
        generation = self.gallery.bucket.write(name, content, kind)
        body = json.dumps({"generation": generation}).encode()
        self._send(HTTPStatus.OK, "application/json", body)

    def _check_host(self) -> None:
        """Refuse a foreign name that was made to lead here (DNS rebinding)."""
        assert isinstance(self.server, Server)
        port = self.server.server_port
        if self.headers["Host"] not in {f"{LOOPBACK}:{port}", f"localhost:{port}"}:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Not this host's name.")

    def _send(
        self, status: HTTPStatus, content_type: str, content: bytes, cache: str = "no-cache"
    ) -> None:
        if status >= HTTPStatus.BAD_REQUEST and self.command == "PUT":
            # Its body may not have been read.
            self.close_connection = True
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", cache)
        self.send_header("Content-Security-Policy", self.gallery.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(content)


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
