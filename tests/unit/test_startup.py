"""A start that puts things off: nothing is missing, nothing is changed, nobody is trusted more."""

import datetime as dt
import http.server
import ipaddress
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from local.servers.function import ROOT

ASK = """
import asyncio, json, os
import main
from describer.build import build_model
from describer.errors import DescriberError
from describer.images.image import Image
from describer.model.prompt import Instructions
from describer.settings import Settings

async def ask():
    model = build_model(Settings.from_env(os.environ))
    try:
        async with model.stream(Instructions("m", "en", 9, ""), Image("", None, uri="gs://b/a")):
            return "answered"
    except DescriberError as exc:
        return f"{type(exc).__name__}: {exc}"

print(json.dumps(asyncio.run(ask())))
"""


def run(program: str, **env: str) -> Any:
    """Run a program in a process of its own; gives what it printed as JSON."""
    command = [sys.executable, "-c", program]
    settings = {"PATH": "", "GOOGLE_CLOUD_PROJECT": "p-1", **env}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_the_start_imports_nothing_for_later_and_starts_nothing() -> None:
    """No channel or thread would survive the fork; Cloud Storage waits for the first image.

    The number of modules is what a start costs; without `quick_imports` it is over 1,500.
    """
    modules, threads = run("""
import json, sys, threading
import main
print(json.dumps([sorted(sys.modules), threading.active_count()]))
""")
    unwanted = {
        "google.cloud.storage",
        "describer.memory",
        "local",
        "rich",
        "PIL",
        "pyvips",
        "hypothesis",
    }
    assert not unwanted & set(modules)
    assert len(modules) < 1300
    assert threads == 1


def test_what_the_start_puts_off_is_there_when_it_is_used() -> None:
    """And nothing else of the process is changed: its collector, its variables, its imports."""
    before, after, found = run(
        """
import gc, json, os, sys
def state():
    return [gc.isenabled(), dict(os.environ), [getattr(f, "__name__", "") for f in sys.meta_path]]
before = state()
import main
after = state()
import google.cloud.firestore_v1, openai.types, openai.types.responses
from google.cloud import firestore
print(json.dumps([before, after, [
    openai.types.Batch.__module__,
    openai.types.responses.Response.__module__,
    google.cloud.firestore_v1.AsyncClient.__module__,
    google.cloud.firestore_v1.types.Document.__module__,
    hasattr(openai.types, "NoSuchThing"),
]]))
""",
        SSL_CERT_DIR="/certificates",
    )
    assert before == after
    assert found == [
        "openai.types.batch",
        "openai.types.responses.response",
        "google.cloud.firestore_v1.async_client",
        "google.cloud.firestore_v1.types.document",
        False,
    ]


def test_the_server_takes_the_quick_event_loop_and_parser() -> None:
    """It looks for them itself, and would go on silently without them."""
    worker: Any = UvicornWorker
    config = uvicorn.Config("main:app", **worker.CONFIG_KWARGS)
    assert config.get_loop_factory() is uvloop.new_event_loop
    assert AutoHTTPProtocol is HttpToolsProtocol
    assert worker.CONFIG_KWARGS["http"] == "auto"


def _certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1, its own authority; gives its file, the key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    file.with_name("key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run a TLS server that answers every POST with 501; gives its address and certificate."""
    file = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, file.with_name("key.pem"))
    httpd = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{httpd.server_port}/v1", file
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_certificates_are_checked_after_a_quick_start(server: tuple[str, Path]) -> None:
    """By the authorities of the machine, and by no others."""
    url, file = server
    stranger = run(ASK, OPENAI_BASE_URL=url, MODEL="m")
    assert stranger.startswith("ModelUnreachableError")
    assert "CERTIFICATE_VERIFY_FAILED" in stranger
    known = run(ASK, OPENAI_BASE_URL=url, MODEL="m", SSL_CERT_FILE=str(file))
    assert known.startswith("ModelBusyError: the model answered 501")


def test_what_was_put_off_is_done_once_however_many_threads_ask() -> None:
    """Those that come while it runs wait for its end; none sees a package half made."""
    found = run("""
import json, sys, threading
import main
start, errors = threading.Barrier(8), []
def ask(name):
    start.wait()
    try:
        getattr(sys.modules["openai.types.responses"], name)
    except Exception as exc:
        errors.append(repr(exc))
names = ["Response", "ResponseUsage", "ToolParam", "ResponseError"] * 2
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=ask, args=[name]) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(errors))
""")
    assert found == []


def test_every_context_of_the_process_knows_the_machines_authorities(tmp_path: Path) -> None:
    """Also those that a library makes while it is imported, and keeps."""
    file = _certificate(tmp_path)
    found = run(
        """
import json, main, aiohttp.connector
context = aiohttp.connector._SSL_CONTEXT_VERIFIED
print(json.dumps(context.cert_store_stats()["x509_ca"]))
""",
        SSL_CERT_FILE=str(file),
        SSL_CERT_DIR="",
    )
    assert found == 1
