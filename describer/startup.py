"""Imported before everything else: makes the imports after it cost two thirds of their time.

A cold start is nearly all imports, and much of that is never used: hundreds of classes for
endpoints that are not called, clients that are not built.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import threading
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


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import quickly within. Whatever is put off is done at its first use, and works as ever."""
    finder: Any = _Finder()
    sys.meta_path.insert(0, finder)
    # What is imported stays: to look for garbage meanwhile takes a tenth of the time.
    gc.disable()
    try:
        yield
    finally:
        # Looked through again and again, it would also copy the pages shared with the worker.
        gc.freeze()
        gc.enable()
        sys.meta_path.remove(finder)


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
        self.__spec__.loader.run(self)  # type: ignore[union-attr]
        if type(self) is _Later:  # Its own code asks, while it runs.
            raise AttributeError(f"{self.__name__} has no {name} yet")
        return getattr(self, name)


class _Loader:
    def __init__(self, loader: Any) -> None:
        self._exec = loader.exec_module
        # Threads that ask meanwhile wait; the package's own code, which may ask, too, does not.
        self._lock = threading.RLock()
        self._begun = False

    def run(self, module: ModuleType) -> None:
        """Run what was put off, once; afterwards the package is like any other."""
        with self._lock:
            if not self._begun:
                self._begun = True
                self._exec(module)
                module.__class__ = ModuleType

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
