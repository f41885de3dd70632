"""The model stand-in: what it streams, how it fails when told to, and what it counts."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest

from describer.model.outputs import read
from describer.model.prompt import instructions_for
from describer.settings import OUTPUTS, Settings
from local.servers.processes import LOOPBACK, free_port
from local.standin import faults
from local.standin.faults import Step
from local.standin.http1 import serving
from local.standin.pixels import OPENING
from local.standin.samples import BY_HAND, SAMPLES
from local.standin.server import Rule, StandIn

GIF = base64.b64decode("R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")


@asynccontextmanager
async def running() -> AsyncIterator[tuple[StandIn, str]]:
    """Serve in this very loop; gives the server's state and its address."""
    standin, port = StandIn(), free_port()
    async with serving(standin.handle, LOOPBACK, port):
        yield standin, f"http://{LOOPBACK}:{port}"


def request(image: bytes = GIF, **changes: Any) -> dict[str, Any]:
    url = f"data:image/gif;base64,{base64.b64encode(image).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Say."}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    return {"model": "m", "stream": True, "messages": messages, **changes}


async def ask(url: str, **changes: Any) -> tuple[list[Any], BaseException | None]:
    """Ask through the real client; give the chunks, and the error that ended them."""
    chunks: list[Any] = []
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=2.0
    ) as client:
        try:
            async with await client.chat.completions.create(**request(**changes)) as stream:
                async for chunk in stream:
                    chunks.append(chunk)
                    if len(chunks) >= 200:
                        break
        except (openai.OpenAIError, ValueError) as error:
            return chunks, error
    return chunks, None


def text_of(chunks: list[Any]) -> str:
    found = ""
    for chunk in chunks:
        choices = getattr(chunk, "choices", None)
        if choices and choices[0].delta is not None:
            found += choices[0].delta.content or ""
    return found


async def test_replays_a_samples_text_where_that_is_asked_for() -> None:
    """Under the model's name that says so; by the bytes, and no other bytes get that name."""
    sample = SAMPLES / "cat.webp"
    async with running() as (_, url):
        replayed, error = await ask(url, image=sample.read_bytes(), model=BY_HAND)
        measured, _ = await ask(url, image=sample.read_bytes())
        _, refused = await ask(url, model=BY_HAND)
    assert error is None
    assert text_of(replayed) == sample.with_suffix(".txt").read_text(encoding="utf-8").strip()
    assert text_of(measured).startswith(OPENING)
    assert isinstance(refused, openai.BadRequestError)


async def test_answers_with_the_object_that_is_asked_for() -> None:
    """With the keys that the words name, as far as something that does not see can fill them."""
    asked = instructions_for("a", Settings(outputs=OUTPUTS))
    async with running() as (_, url):
        rules = {"role": "system", "content": asked.system}
        chunks, _ = await ask(url, messages=[rules, *request()["messages"]])
    found = read(text_of(chunks), asked.wanted, cut=False)
    assert found.description.startswith(OPENING)
    assert found.description.startswith(found.fields["altText"].rstrip("…"))
    assert found.fields["tags"] == ["stand-in"]


async def test_says_first_that_it_is_a_stand_in() -> None:
    """The text begins with what it is, and ends with `stop`."""
    async with running() as (_, url):
        chunks, error = await ask(url)
    assert error is None
    assert text_of(chunks).startswith(OPENING)
    assert text_of(chunks).endswith(".")
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_streams_in_the_shape_that_google_recorded() -> None:
    """finish_reason is absent until the last chunk, which has delta and usage, too."""
    async with running() as (_, url), httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=request())
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    *early, last = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert len(early) > 10
    assert not any("finish_reason" in chunk["choices"][0] or "usage" in chunk for chunk in early)
    assert last["choices"][0]["delta"]["content"]
    assert last["choices"][0]["finish_reason"] == "stop"
    usage = last["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


@pytest.mark.parametrize("array", [True, False])
@pytest.mark.parametrize("code", faults.GOOGLE_STATUS)
async def test_refuses_with_any_status(code: int, array: bool) -> None:
    """The status, Google's body in either shape, and Retry-After come as scripted."""
    async with running() as (standin, url), httpx2.AsyncClient() as client:
        script = [faults.status(code, retry_after=7, array=array)]
        await client.post(f"{url}/control", json={"script": script})
        answer = await client.post(f"{url}/v1/chat/completions", json=request())
    body = answer.json()
    assert answer.status_code == code
    assert answer.headers["retry-after"] == "7"
    assert isinstance(body, list) is array
    assert (body[0] if array else body)["error"]["status"] == faults.GOOGLE_STATUS[code]
    assert [entry.outcome for entry in standin.log] == ["refused"]


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        pytest.param([faults.drop()], openai.APIConnectionError, "", id="before-headers"),
        pytest.param([faults.chunks(2), faults.drop()], openai.APIConnectionError, 2, id="cut"),
        pytest.param([faults.drop_at(100)], openai.APIConnectionError, "", id="cut-at-byte"),
        pytest.param([faults.chunks(2), faults.silence()], openai.APITimeoutError, 2, id="silent"),
        pytest.param([faults.delay(9)], openai.APITimeoutError, "", id="slow-first-chunk"),
        pytest.param([faults.wait(9)], openai.APITimeoutError, "", id="slow-headers"),
        pytest.param(
            [faults.chunks(2), faults.event({"error": {"code": 503, "message": "x"}})],
            openai.APIError,
            2,
            id="error-inside",
        ),
        pytest.param([faults.raw(b"data: {no\n\n")], json.JSONDecodeError, "", id="no-json"),
        pytest.param([faults.raw(b"\xff\xfe\n")], UnicodeDecodeError, "", id="garbage"),
        pytest.param([faults.chunks(2), faults.end()], type(None), 2, id="no-finish-reason"),
        pytest.param([faults.chunks(2), faults.done()], type(None), 2, id="done-only"),
        pytest.param([faults.text("All."), faults.finish()], type(None), "", id="empty"),
        pytest.param([faults.text("All.")], type(None), "All.", id="fixed-text"),
        pytest.param([faults.wait(0.01)], type(None), OPENING, id="late"),
    ],
)
async def test_fails_as_scripted(
    script: list[Step], error: type[BaseException], text: str | int
) -> None:
    """Each fault reaches the real client as what it stands for, after the text before it."""
    async with running() as (standin, url):
        standin.rules.append(standin_rule(script))
        chunks, seen = await ask(url)
    assert isinstance(seen, error)
    if isinstance(text, int):
        assert len(text_of(chunks).split()) == text * standin.pacing.words
    elif text == OPENING:
        assert text_of(chunks).startswith(text)
    else:
        assert text_of(chunks) == text


def standin_rule(script: list[Step]) -> Rule:
    return Rule(None, faults.check(script), None)


@pytest.mark.parametrize("choices", [None, [], [{"index": 0, "delta": None}]])
async def test_sends_odd_chunks_and_goes_on(choices: Any) -> None:
    """A chunk without choices or delta stands before the text that follows all the same."""
    async with running() as (standin, url):
        standin.rules.append(standin_rule([faults.chunk(choices)]))
        chunks, error = await ask(url)
    assert error is None
    assert len(chunks) > 10
    assert text_of(chunks).startswith(OPENING)


@pytest.mark.parametrize("reason", ["length", "content_filter", "stop"])
async def test_ends_with_any_finish_reason(reason: str) -> None:
    """The reason stands in the last chunk, without usage or delta where so scripted."""
    async with running() as (standin, url):
        script = [faults.chunks(1), faults.finish(reason, usage=False, words=None)]
        standin.rules.append(standin_rule(script))
        chunks, _ = await ask(url)
    assert chunks[-1].choices[0].finish_reason == reason
    assert chunks[-1].choices[0].delta is None
    assert chunks[-1].usage is None


async def test_streams_without_end_until_the_client_hangs_up() -> None:
    """The endless stream outlasts the text, and the log says who ended it."""
    async with running() as (standin, url):
        standin.rules.append(standin_rule([faults.endless()]))
        chunks, _ = await ask(url)
        async with asyncio.timeout(5):
            while standin.open:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert len(chunks) == 200
    assert standin.log[0].outcome == "hung up"
    assert standin.log[0].chunks >= 200


async def test_answers_with_one_json_although_a_stream_was_asked_for() -> None:
    """As servers do that do not know the parameter; the log has its text."""
    async with running() as (standin, url):
        standin.rules.append(standin_rule([faults.whole()]))
        chunks, _ = await ask(url)
    assert chunks == []
    (entry,) = standin.log
    assert entry.outcome == "completed"
    assert entry.text


async def test_logs_what_would_have_been_paid_for() -> None:
    """An entry holds image digest, prompt, model, and exactly the text that was sent."""
    async with running() as (standin, url):
        chunks, _ = await ask(url, model="google/x")
    (entry,) = standin.log
    assert entry.image == f"sha256:{hashlib.sha256(GIF).hexdigest()}"
    assert (entry.model, entry.prompt) == ("google/x", "Be brief.\nSay.")
    assert (entry.status, entry.outcome) == (200, "completed")
    assert entry.text == text_of(chunks)
    assert entry.chunks == len(chunks)


async def test_takes_the_first_rule_that_matches_and_is_left() -> None:
    """A rule for another model does not apply, and one for one request applies once."""
    async with running() as (_, url), httpx2.AsyncClient() as client:
        for rule in (
            {"match": "other-model", "script": [faults.status(404)]},
            {"match": None, "script": [faults.status(429)], "times": 1},
        ):
            assert (await client.post(f"{url}/control", json=rule)).status_code == 200
        statuses = [
            (await client.post(f"{url}/v1/chat/completions", json=asked)).status_code
            for asked in (request(), request(), request(model="other-model"), request())
        ]
    assert statuses == [429, 200, 404, 200]


async def test_refuses_more_than_its_limit_at_once() -> None:
    """Of five at once, two are served and the others get 429."""
    async with running() as (standin, url):
        standin.limit, standin.pacing.pace = 2, 0.01
        answers = await asyncio.gather(*(ask(url) for _ in range(5)))
    refused = [error for _, error in answers if isinstance(error, openai.RateLimitError)]
    assert len(refused) == 3
    assert standin.serving == standin.open == 0


@pytest.mark.parametrize(
    "image_url",
    ["data:image/png;base64,AAAA", "data:image/png;base64,?", "https://example.org/a.png", ""],
)
async def test_refuses_an_image_that_it_cannot_read(image_url: str) -> None:
    """It answers 400 with an array, as Google's front end does."""
    part = {"type": "image_url", "image_url": {"url": image_url}}
    asked = request(messages=[{"role": "user", "content": [part]}])
    async with running() as (_, url), httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=asked)
    assert answer.status_code == 400
    assert answer.json()[0]["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "wanted",
    [
        {"script": [{"explode": True}]},
        {"script": [{"chunks": "two"}]},
        {"script": {"status": 500}},
        {"script": [{"chunks": 1}, {"status": 500}]},
        {"scripts": []},
        [],
    ],
)
async def test_refuses_a_script_that_it_does_not_know(wanted: Any) -> None:
    """A misspelt fault is told to the test that sent it, and nothing is set."""
    async with running() as (standin, url), httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/control", json=wanted)
    assert answer.status_code == 400
    assert standin.rules == []


async def test_serves_many_at_once_each_in_full() -> None:
    """A hundred streams under way at the same time all bring the whole text."""
    async with running() as (standin, url):
        standin.pacing.pace = 0.01
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(limits=limits, timeout=30) as client:
            asked = [client.post(f"{url}/v1/chat/completions", json=request()) for _ in range(100)]
            answers = await asyncio.gather(*asked)
    assert standin.peak == 100
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)


async def test_answers_without_a_stream_too() -> None:
    """A client that wants no stream gets one object with the same text."""
    async with running() as (_, url), httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=request(stream=False))
    assert answer.json()["object"] == "chat.completion"
    assert answer.json()["choices"][0]["message"]["content"].startswith(OPENING)
