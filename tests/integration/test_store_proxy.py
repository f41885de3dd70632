"""The proxy before the store: calls pass, fail or are lost as they are judged, and are counted."""

import os

import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from benchmarks.store import counting
from local.servers.processes import Server
from local.servers.store_proxy import PASS, StoreProxy, Verdict


def client(host: str, monkeypatch: pytest.MonkeyPatch) -> firestore.AsyncClient:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    project = f"p-{os.urandom(4).hex()}"
    return firestore.AsyncClient(project=project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call,unused-ignore]


@pytest.mark.parametrize(
    ("verdict", "stored"),
    [
        pytest.param(Verdict(lost=True), True, id="lost"),
        pytest.param(Verdict(status="UNAVAILABLE"), False, id="failed"),
    ],
)
async def test_a_call_is_lost_or_failed(
    firestore_server: Server, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, stored: bool
) -> None:
    """The writer hears the same of both; the store has done the one and not the other."""
    verdicts = [verdict]

    def judge(method: str, _: bytes) -> Verdict:
        return verdicts.pop() if method == "Commit" and verdicts else PASS

    async with StoreProxy(firestore_server.host, judge) as proxy:
        document = client(proxy.host, monkeypatch).document("c/d")
        with pytest.raises(ServiceUnavailable):
            await document.set({"a": 1}, retry=None)
        assert (await document.get()).exists is stored


async def test_calls_and_writes_are_counted(
    firestore_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is one call and as many writes as it holds; reads are calls alone."""
    async with counting(firestore_server.host) as (host, counts):
        store = client(host, monkeypatch)
        batch = store.batch()
        for name in "abc":
            batch.set(store.document(f"c/{name}"), {"name": name})
        await batch.commit()
        await store.document("c/a").get()
    assert counts.calls == {"Commit": 1, "BatchGetDocuments": 1}
    assert counts.writes == 3
