"""The gallery's settings, from the environment that terraform/module/gallery.tf gives."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NEEDED = (
    "GOOGLE_CLOUD_PROJECT",
    "FIRESTORE_DATABASE",
    "FIRESTORE_COLLECTION",
    "BUCKETS",
    "READERS",
    "SERVICE_ACCOUNT",
    "API_KEY",
    "MAX_UPLOAD_BYTES",
)


class SettingsError(ValueError):
    """What the environment says cannot work; the message names each variable."""


@dataclass(frozen=True)
class Settings:
    """What one gallery is.

    Attributes:
        project: GOOGLE_CLOUD_PROJECT.
        database: FIRESTORE_DATABASE.
        collection: FIRESTORE_COLLECTION.
        buckets: BUCKETS; uploads go to the first.
        readers: READERS, `signed_in` or `public`.
        writers: WRITERS, verified e-mail addresses.
        account: SERVICE_ACCOUNT, the address of the account that it runs as.
        key: API_KEY, the web client's.
        max_upload_bytes: MAX_UPLOAD_BYTES.
        prices: PRICES, JSON with `model`, and what a million of its tokens cost, `input` and
            `output`; None where nobody said.
        emulator: FIRESTORE_EMULATOR_HOST, "" for the real one.
        stand_in: GOOGLE_STAND_IN, the URL of a test's server that stands in for Google's other
            hosts, each below its name; "" for the real ones.
    """

    project: str
    database: str
    collection: str
    buckets: tuple[str, ...]
    readers: str
    writers: frozenset[str]
    account: str
    key: str
    max_upload_bytes: int
    prices: dict[str, Any] | None = None
    emulator: str = ""
    stand_in: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the environment.

        Raises:
            SettingsError: a variable is missing, or is not what it must be.
        """
        faults = [f"{name} is missing" for name in _NEEDED if not environ.get(name)]
        readers, most = environ.get("READERS", ""), environ.get("MAX_UPLOAD_BYTES", "")
        if readers not in {"", "signed_in", "public"}:
            faults.append(f"READERS is {readers!r}: expected signed_in or public")
        if most and not (most.isascii() and most.isdigit() and int(most) > 0):
            faults.append(f"MAX_UPLOAD_BYTES is {most!r}: expected a number of bytes")
        if faults:
            raise SettingsError("; ".join(faults))
        return cls(
            project=environ["GOOGLE_CLOUD_PROJECT"],
            database=environ["FIRESTORE_DATABASE"],
            collection=environ["FIRESTORE_COLLECTION"],
            buckets=tuple(environ["BUCKETS"].split(",")),
            readers=readers,
            writers=frozenset(filter(None, environ.get("WRITERS", "").split(","))),
            account=environ["SERVICE_ACCOUNT"],
            key=environ["API_KEY"],
            max_upload_bytes=int(most),
            prices=json.loads(environ["PRICES"]) if environ.get("PRICES") else None,
            emulator=environ.get("FIRESTORE_EMULATOR_HOST", ""),
            stand_in=environ.get("GOOGLE_STAND_IN", ""),
        )

    def google(self, service: str) -> str:
        """Give the URL of one of Google's hosts, such as `storage`."""
        host = f"{service}.googleapis.com"
        return f"{self.stand_in}/{host}" if self.stand_in else f"https://{host}"

    @property
    def firestore(self) -> str:
        """The URL of Firestore."""
        return f"http://{self.emulator}" if self.emulator else self.google("firestore")
