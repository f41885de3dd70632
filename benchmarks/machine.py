"""What the figures were taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import psutil

from local.servers.function import ROOT

_PACKAGES = ("functions-framework", "openai", "httpx2", "google-cloud-firestore", "grpcio")


def describe() -> dict[str, str]:
    """Give machine, versions and commit, by the words for the table."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    memory_gib = psutil.virtual_memory().total / 2**30
    return {
        "Machine": f"{os.cpu_count()} x {_processor()}, {memory_gib:.0f} GiB",
        "System": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Packages": ", ".join(versions),
        "Commit": _commit(),
        "Load before": f"{os.getloadavg()[0]:.1f}",
    }


def stolen_seconds() -> float:
    """Give the seconds of all cores that the machine's host has given to others since its start."""
    return float(psutil.cpu_times().steal)


def _processor() -> str:
    # The one thing here that psutil does not tell.
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
