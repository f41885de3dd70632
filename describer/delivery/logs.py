"""One JSON line per delivery, in the form that Cloud Logging takes apart.

Source: https://docs.cloud.google.com/logging/docs/structured-logging
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Literal

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_RANKS = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "CRITICAL": 4}


class Log:
    """Writes lines of at least one severity to standard output."""

    def __init__(self, level: str, project: str | None) -> None:
        self._least = _RANKS[level]
        self._project = project

    def write(
        self,
        severity: Severity,
        message: str,
        fields: Mapping[str, Any],
        *,
        trace: str | None = None,
    ) -> None:
        """Write one line. Fields that are None are left out.

        Args:
            message: a constant; values go into fields.
            trace: W3C trace id of the request.
        """
        if _RANKS[severity] < self._least:
            return
        line: dict[str, Any] = {"severity": severity, "message": message}
        line.update((name, value) for name, value in fields.items() if value is not None)
        if trace and self._project:
            line["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace}"
        # ASCII only, so that no object name can break or forge a line; and stdout is looked up
        # now, because the framework swaps it to add the execution id.
        sys.stdout.write(json.dumps(line, default=str) + "\n")
        sys.stdout.flush()
