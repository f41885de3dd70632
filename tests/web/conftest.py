"""The page, built, and a real browser; what is not installed is said, not hidden."""

import pytest

from local.gallery.page import build, install, why_no_node
from tests.conftest import missing


@pytest.fixture(scope="session")
def tools() -> None:
    """Node, and what the page's own checks need."""
    if reason := why_no_node():
        missing(reason)
    install(tools=True)


@pytest.fixture(scope="session")
def built(tools: None) -> str:
    """The page, and what its build says of its size."""
    return build()
