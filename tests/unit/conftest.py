"""Unit tests see nothing of the emulators that other tests have started."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _no_storage_emulator() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STORAGE_EMULATOR_HOST", raising=False)
        yield
