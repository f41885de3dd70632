"""Imported before everything else: makes the imports after it cost two thirds of their time.

A cold start is nearly all imports, and much of that is never used: hundreds of classes for
endpoints that are not called, clients that are not built, certificates that are not looked at.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# Packages of which single modules are needed, while their `__init__` imports all the others.
_LATER = frozenset(
    {
        "google.cloud.firestore_v1",
        "google.cloud.firestore_v1.services.firestore",
        "google.cloud.firestore_v1.services.firestore.transports",
        "google.cloud.firestore_v1.types",
        "openai.types",
        "openai.types.responses",
    }
)
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import quickly within. Whatever is put off is done at its first use, and works as ever."""
    finder: Any = _Finder()
    sys.meta_path.insert(0, finder)
    # What is imported stays: to look for garbage meanwhile takes a tenth of the time.
    gc.disable()
    try:
        with _without_certificates():
            yield
    finally:
        # Looked through again and again, it would also copy the pages shared with the worker.
        gc.freeze()
        gc.enable()
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def _without_certificates() -> Iterator[None]:
    """Hide the machine's certificates from OpenSSL.

    aiohttp reads them twice when imported, for contexts of its own. They are not used here: the
    model's client brings another, built later. One that were, after all, would trust nobody.
    """
    before = {name: os.environ.get(name) for name in _CERTIFICATES}
    os.environ.update(dict.fromkeys(_CERTIFICATES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Later(ModuleType):
    """A package whose `__init__` runs when something is asked of it that no module of it has.

    Python's own lazy loader runs it as soon as a module of the package is imported.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{self.__name__} has no {name}")
        module = f"{self.__name__}.{name}"
        if PathFinder.find_spec(module, self.__path__):
            return importlib.import_module(module)
        self.__class__ = ModuleType  # type: ignore[assignment]
        self.__spec__.loader.exec_module_now(self)  # type: ignore[union-attr]
        return getattr(self, name)


class _Loader:
    def __init__(self, loader: Any) -> None:
        self.exec_module_now = loader.exec_module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Later(spec.name)

    def exec_module(self, _: ModuleType) -> None:
        """Put it off."""


class _Finder:
    def find_spec(
        self, name: str, path: Sequence[str] | None, _: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in _LATER else None
        if spec is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec
