"""What importing a part of the program brings along; what imports what is `make lint`'s matter."""

import json
import subprocess
import sys

import pytest

from local.servers.function import ROOT


def modules_of(statement: str) -> set[str]:
    """Import in a process of its own; gives what is loaded then."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    env = {"PATH": "", "GOOGLE_CLOUD_PROJECT": "p-1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module",
    [
        "describer.delivery.pipeline",
        "describer.images.loading",
        "describer.model.description",
        "describer.records.record",
    ],
)
def test_the_pure_part_of_each_room_loads_no_client(module: str) -> None:
    """Nor anything else but the standard library: it is quick to import, and to test."""
    loaded = modules_of(f"import {module}")
    assert module in loaded
    outside = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    outside = {name for name in outside if not name.startswith("_")}
    # What the environment itself puts in at every start.
    outside -= {name.partition(".")[0] for name in modules_of("pass")}
    assert outside == {"describer"}


def test_the_function_loads_nothing_that_is_not_deployed() -> None:
    """Neither what runs on a developer's machine, nor libraries that no event asks for."""
    loaded = modules_of("import main")
    unwanted = {"local", "benchmarks", "tests", "PIL", "rich", "google.cloud.pubsub_v1"}
    unwanted |= {"describer.tracing", "opentelemetry.sdk"}
    unwanted |= {"opentelemetry.exporter", "describer.records.memory", "describer.model.scripted"}
    assert not loaded & unwanted
