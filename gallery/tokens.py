"""ID tokens of Firebase Authentication and Identity Platform, checked against Google's keys.

Source: https://firebase.google.com/docs/auth/admin/verify-id-tokens#verify_id_tokens_using_a_third-party_jwt_library
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import requests
from google.auth import exceptions, jwt

from gallery.exchange import RefusedError
from gallery.site import User

CERTIFICATES = "/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
_TIMEOUT_SECONDS = 10
# Between Google's clock and this one.
_SKEW_SECONDS = 10


class Certificates:
    """The certificates that ID tokens are signed under, kept as long as Google says.

    Args:
        url: of the certificates, by key id.
        session: how they are fetched.
        clock: seconds, never backwards.
    """

    def __init__(
        self, url: str, session: requests.Session, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._found: Mapping[str, str] = {}
        self._until = float("-inf")

    def __call__(self) -> Mapping[str, str]:
        """Give the certificates in PEM by key id.

        Raises:
            RefusedError: they cannot be had (502).
        """
        with self._lock:
            if self._clock() >= self._until:
                self._fetch()
            return self._found

    def _fetch(self) -> None:
        try:
            answer = self._session.get(self._url, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            self._found = answer.json()
        except requests.RequestException as error:
            sentence = "Google's keys cannot be had."
            raise RefusedError(HTTPStatus.BAD_GATEWAY, sentence) from error
        age = re.search(r"max-age=(\d+)", answer.headers.get("Cache-Control", ""))
        self._until = self._clock() + (int(age[1]) if age else 0)


class IdTokens:
    """Tells who has signed in by their ID token.

    Args:
        project: whose tokens are taken.
        writers: addresses of those who may upload and correct.
        certificates: gives the certificates by key id.
    """

    def __init__(
        self,
        project: str,
        writers: frozenset[str],
        certificates: Callable[[], Mapping[str, str]],
    ) -> None:
        self._project = project
        self._writers = writers
        self._certificates = certificates

    def user(self, token: str) -> User:
        """Tell who has this ID token.

        Raises:
            RefusedError: it is none of this project's, or not valid any more (401).
        """
        try:
            claims = self._claims(token)
        except (TypeError, ValueError, RecursionError, exceptions.GoogleAuthError) as error:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "Sign in anew.") from error
        email = str(claims.get("email", ""))
        writer = claims.get("email_verified") is True and email in self._writers
        return User(claims["sub"], email, writer, max(0, int(claims["exp"] - time.time())))

    def _claims(self, token: str) -> Mapping[str, Any]:
        header = jwt.decode_header(token)
        certificate = self._certificates().get(header.get("kid", ""))
        # The library would take any algorithm that it knows, and any of the keys.
        if header.get("alg") != "RS256" or certificate is None:
            raise ValueError("not signed by Google")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            certs={header["kid"]: certificate},
            audience=self._project,
            clock_skew_in_seconds=_SKEW_SECONDS,
        )
        if claims.get("iss") != f"https://securetoken.google.com/{self._project}":
            raise ValueError("issued by somebody else")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise ValueError("nobody's")
        if claims.get("auth_time", 0) > time.time() + _SKEW_SECONDS:
            raise ValueError("signed in later than now")
        return claims
