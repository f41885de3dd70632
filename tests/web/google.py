"""Stands in for the hosts of Google that the gallery asks, as far as it asks them.

It signs and checks for real: ID tokens under a certificate of its own, and every signed URL of
Cloud Storage by the rules that Google documents. Each host stands below its name.

Source: https://cloud.google.com/storage/docs/authentication/signatures
"""

import base64
import contextlib
import datetime as dt
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ACCOUNT = "describer-gallery@demo-describer.iam.gserviceaccount.com"
KEY_ID = "of the stand-in"
_ACCESS = "an access token"


class Key:
    """A key, and what others see of it."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def sign(self, message: bytes) -> bytes:
        """Sign with SHA-256 and RSA."""
        return self._private.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether this key signed the message."""
        try:
            public = self._private.public_key()
            public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    def certificate(self) -> str:
        """Give a certificate of it in PEM."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(self._private, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode()


class Google:
    """What the stand-in knows.

    Attributes:
        url: where it listens.
        objects: bytes and type by bucket and name.
        passwords: by e-mail address; without one nobody has such an account.
        unverified: addresses that nobody has confirmed.
        ended: addresses whose refresh tokens are not taken any more.
        seconds: for which its ID tokens are said to be good.
        broken: hosts that answer 503, and ask to be left alone for an hour.
        origins: pages that may put objects, as a bucket's CORS says.
        asked: method and path of each request.
    """

    def __init__(self, url: str, project: str) -> None:
        self.url = url
        self.project = project
        self.objects: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.passwords: dict[str, str] = {}
        self.unverified: set[str] = set()
        self.ended: set[str] = set()
        self.seconds = 3600
        self.broken: set[str] = set()
        self.origins: set[str] = set()
        self.asked: list[str] = []
        self.tokens = Key()
        self.account = Key()
        self.certificate = self.tokens.certificate()

    def id_token(self, email: str = "ada@example.com", **changes: Any) -> str:
        """Give a token as Identity Platform does; a claim or a header may be changed.

        Args:
            email: of whom.
            changes: claims; None takes one away. `alg`, `kid` change the header, `key` signs.
        """
        now = int(time.time())
        uid = email.partition("@")[0]
        claims = {
            "iss": f"https://securetoken.google.com/{self.project}",
            "aud": self.project,
            "auth_time": now,
            "user_id": uid,
            "sub": uid,
            "iat": now,
            "exp": now + 3600,
            "email": email,
            "email_verified": email not in self.unverified,
        }
        header = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        header |= {name: changes.pop(name) for name in ("alg", "kid") if name in changes}
        key = changes.pop("key", self.tokens)
        claims = {name: one for name, one in {**claims, **changes}.items() if one is not None}
        parts = [_part(json.dumps(one).encode()) for one in (header, claims)]
        signature = b"" if header["alg"] == "none" else key.sign(".".join(parts).encode())
        return ".".join([*parts, _part(signature)])

    def checked(self, method: str, raw: str, headers: dict[str, str]) -> tuple[str, str] | str:
        """Check a signed URL; give bucket and name, or why it is refused."""
        path, _, asked = raw.partition("?")
        parameters = dict(parse_qsl(asked))
        signed, _, signature = asked.partition("&X-Goog-Signature=")
        begun = dt.datetime.strptime(parameters["X-Goog-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        until = begun + dt.timedelta(seconds=int(parameters["X-Goog-Expires"]))
        if not begun <= dt.datetime.now(dt.UTC) < until:
            return "expired"
        names = parameters["X-Goog-SignedHeaders"].split(";")
        if missing := [
            name for name in headers if name.startswith("x-goog-") and name not in names
        ]:
            return f"{missing} are not signed"
        lines = [f"{name}:{headers.get(name, '')}" for name in names]
        whole = [method, path, signed, *lines, "", ";".join(names), "UNSIGNED-PAYLOAD"]
        digest = hashlib.sha256("\n".join(whole).encode()).hexdigest()
        account, _, scope = parameters["X-Goog-Credential"].partition("/")
        message = "\n".join(["GOOG4-RSA-SHA256", parameters["X-Goog-Date"], scope, digest])
        by_account = self.account.verifies(bytes.fromhex(signature), message.encode())
        if account != ACCOUNT or not by_account:
            return "signed by somebody else"
        bucket, _, name = path.removeprefix("/").partition("/")
        return bucket, unquote(name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    google: Google

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    do_POST = do_GET  # noqa: N815 - the parent's names
    do_PUT = do_GET  # noqa: N815
    do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""

    def _answer(self) -> None:
        self.google.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        host, _, rest = self.path.removeprefix("/").partition("/")
        if self.command == "OPTIONS":
            self._send(204, {})
        elif host in self.google.broken:
            self._send(503, {}, {"Retry-After": "3600"})
        elif host == "computeMetadata":
            self._metadata(rest)
        elif host == "www.googleapis.com":
            self._send(200, {KEY_ID: self.google.certificate}, {"Cache-Control": "max-age=3600"})
        elif host == "identitytoolkit.googleapis.com":
            self._sign_in(json.loads(body))
        elif host == "securetoken.googleapis.com":
            self._renew(dict(parse_qsl(body.decode())))
        elif host == "iamcredentials.googleapis.com":
            self._sign(rest, json.loads(body))
        elif host == "storage.googleapis.com":
            self._storage(f"/{rest}", body)
        else:
            self._send(404, {})

    def _metadata(self, path: str) -> None:
        kind = urlsplit(path).path.rpartition("/")[2]
        if kind == "token":
            told: Any = {"access_token": _ACCESS, "expires_in": 3600, "token_type": "Bearer"}
        else:
            told = {"email": ACCOUNT, "scopes": ["cloud-platform"], "aliases": ["default"]}
        self._send(200, told, {"Metadata-Flavor": "Google"})

    def _sign_in(self, asked: Any) -> None:
        email = asked["email"]
        if email not in self.google.passwords or asked["password"] != self.google.passwords[email]:
            self._send(400, {"error": {"code": 400, "message": "INVALID_LOGIN_CREDENTIALS"}})
            return
        token = self.google.id_token(email)
        uid = email.partition("@")[0]
        told = {
            "idToken": token,
            "refreshToken": f"refresh {email}",
            "expiresIn": str(self.google.seconds),
        }
        self._send(200, {**told, "localId": uid, "email": email, "registered": True})

    def _renew(self, asked: dict[str, str]) -> None:
        email = asked["refresh_token"].removeprefix("refresh ")
        if email in self.google.ended or email not in self.google.passwords:
            self._send(400, {"error": {"code": 400, "message": "TOKEN_EXPIRED"}})
            return
        told = {"id_token": self.google.id_token(email), "expires_in": str(self.google.seconds)}
        uid = email.partition("@")[0]
        self._send(200, {**told, "refresh_token": asked["refresh_token"], "user_id": uid})

    def _sign(self, path: str, asked: Any) -> None:
        own = f"v1/projects/-/serviceAccounts/{ACCOUNT}:signBlob"
        if path != own or self.headers["Authorization"] != f"Bearer {_ACCESS}":
            self._send(403, {"error": {"code": 403, "status": "PERMISSION_DENIED"}})
            return
        signature = self.google.account.sign(base64.b64decode(asked["payload"]))
        self._send(200, {"signedBlob": base64.b64encode(signature).decode()})

    def _storage(self, path: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = self.google.checked(self.command, path, headers)
        objects = self.google.objects
        if isinstance(found, str):
            self._send(403, {"error": found})
        elif self.command == "GET" and found in objects:
            content, kind = objects[found]
            self._send(200, content, {"Content-Type": kind})
        elif self.command == "GET":
            self._send(404, {})
        elif found in objects and headers.get("x-goog-if-generation-match") == "0":
            self._send(412, {})
        elif headers.get("x-goog-content-length-range") != f"{len(body)},{len(body)}":
            self._send(400, {})
        else:
            objects[found] = (body, headers["content-type"])
            self._send(200, b"", {"x-goog-generation": "1"})

    def _send(self, status: int, told: Any, headers: dict[str, str] | None = None) -> None:
        content = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", **(headers or {})}
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        origin = self.headers["Origin"]
        closed = self.path.startswith("/storage") and origin not in self.google.origins
        if origin is not None and not closed:
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Allow-Methods", "GET, POST, PUT")
            wanted = self.headers["Access-Control-Request-Headers"] or ""
            self.send_header("Access-Control-Allow-Headers", wanted)
            self.send_header("Access-Control-Expose-Headers", "x-goog-generation")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status != 204:
            self.wfile.write(content)


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@contextlib.contextmanager
def google(project: str) -> Iterator[Google]:
    """Run the stand-in on this machine until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    known = Google(f"http://127.0.0.1:{server.server_port}", project)
    handler.google = known  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
