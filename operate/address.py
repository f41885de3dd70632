"""`gs://bucket/name`: one object, or all whose names begin so."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from describer.settings import BUCKET_NAME


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket and the beginning of names in it, or with `exact` the whole of one name."""

    bucket: str
    name: str = ""
    exact: bool = False

    @property
    def uri(self) -> str:
        """As the record spells it."""
        return f"gs://{self.bucket}/{self.name}"

    def holds(self, name: str) -> bool:
        """Tell whether it speaks of this object of the bucket."""
        return name == self.name if self.exact else name.startswith(self.name)


class AddressType(click.ParamType[Address]):
    """Reads an address from the command line."""

    name = "gs://bucket[/prefix]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """See `click.ParamType`."""
        if isinstance(value, Address):
            return value
        text = str(value)
        bucket, _, name = text.removeprefix("gs://").partition("/")
        if not text.startswith("gs://") or not BUCKET_NAME.match(bucket):
            self.fail(f"{text!r} is not gs://bucket or gs://bucket/prefix", param, ctx)
        try:
            name.encode()
        except UnicodeEncodeError:
            self.fail("the name is not UTF-8", param, ctx)
        return Address(bucket, name)


ADDRESS = AddressType()


class UrlType(click.ParamType[str]):
    """Reads the function's address; a token is not sent in the clear, but to this machine."""

    name = "URL"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """See `click.ParamType`."""
        text = str(value)
        try:
            parts = urlsplit(text)
        except ValueError:
            self.fail(f"{text!r} is no URL", param, ctx)
        local = parts.scheme == "http" and is_loopback(text)
        if not parts.hostname or not (local or parts.scheme == "https"):
            self.fail(f"{text!r} is no https URL", param, ctx)
        return text


def is_loopback(url: str) -> bool:
    """Tell whether an address is on this machine, where nobody asks for a token."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
