"""The access token of the application default credentials, for what is called over REST."""

from __future__ import annotations

import threading

import google.auth
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials as PersonCredentials

from describer.errors import TokenError


class AccessToken:
    """The application default credentials' token, renewed in time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials, self.project = google.auth.default(
            scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )

    def __call__(self) -> str:
        """Give a token that is valid for some minutes yet. May block.

        Raises:
            TokenError: these credentials give none.
        """
        with self._lock:
            if not self._credentials.valid:
                self._credentials.refresh(Request())
            if not self._credentials.token:
                raise TokenError("the application default credentials give no access token")
            return str(self._credentials.token)

    def quota_project(self, project: str) -> str | None:
        """Give the project that calls are counted for; some APIs refuse a person without one.

        Source: https://docs.cloud.google.com/docs/quotas/set-quota-project
        """
        named: str | None = getattr(self._credentials, "quota_project_id", None)
        return named or (project if isinstance(self._credentials, PersonCredentials) else None)
