"""What the stand-in can be told to do instead of answering well: a script of steps per request.

A script is a list of steps, taken in order. When they are used up and none of them ended the
answer, the rest of the text follows as if nothing had happened. Steps are JSON, so that any client
can send them; the functions here make them.

    [delay(2)]                             headers, then two seconds, then a good answer
    [status(429, retry_after=1)]           refused
    [chunks(3), drop()]                    cut in the middle
    [chunks(2), silence()]                 three words, then nothing for ever
    [event({"error": {"code": 503}})]      an error inside the stream, then the rest
    [text("Only this."), chunks(), end()]  a clean end without finish_reason
"""

import base64
from typing import Any

Step = dict[str, Any]

# Google's names for what these codes mean.
# Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors
GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

# Name of a step -> types of its value.
_KINDS: dict[str, tuple[type, ...]] = {
    "status": (int,),
    "wait": (int, float),
    "delay": (int, float),
    "text": (str,),
    "chunks": (int, type(None)),
    "chunk": (dict, list, str, int, type(None)),
    "event": (dict, list, str, int, type(None)),
    "raw": (str,),
    "finish": (str, type(None)),
    "drop_at": (int,),
    "drop": (bool,),
    "silence": (bool,),
    "endless": (bool,),
    "done": (bool,),
    "whole": (bool,),
    "end": (bool,),
}


def status(
    code: int,
    *,
    message: str = "Scripted failure.",
    google_status: str | None = None,
    retry_after: float | None = None,
    array: bool = True,
) -> Step:
    """Answer with this HTTP status and a body in Google's shape, then be done.

    Args:
        code: the HTTP status.
        message: text of the error.
        google_status: such as FAILED_PRECONDITION; by default the usual one for the code.
        retry_after: seconds for the Retry-After header.
        array: `[{"error": ...}]` as Google's front end wraps it, or plain `{"error": ...}`.
    """
    return {
        "status": code,
        "message": message,
        "google_status": google_status,
        "retry_after": retry_after,
        "array": array,
    }


def error_body(code: int, message: str, google_status: str | None, *, array: bool) -> Any:
    """Make the body of an error answer."""
    error = {
        "code": code,
        "message": message,
        "status": google_status or GOOGLE_STATUS.get(code, "UNKNOWN"),
    }
    return [{"error": error}] if array else {"error": error}


def wait(seconds: float) -> Step:
    """Do nothing for a time, the headers included if they are not out yet."""
    return {"wait": seconds}


def delay(seconds: float) -> Step:
    """Send the headers if they are not out yet, then do nothing for a time."""
    return {"delay": seconds}


def text(words: str) -> Step:
    """Say this instead of the description."""
    return {"text": words}


def chunks(count: int | None = None) -> Step:
    """Send so many more chunks of the text; all that are left by default."""
    return {"chunks": count}


def event(content: Any) -> Step:
    """Send this as one event of the stream, whatever it is."""
    return {"event": content}


def chunk(choices: Any, **more: Any) -> Step:
    """Send one completion chunk with these choices, and more fields such as `usage`."""
    return {"chunk": choices, "more": more}


def raw(content: bytes) -> Step:
    """Send these bytes as they are: garbage, half an event, broken JSON."""
    return {"raw": base64.b64encode(content).decode()}


def finish(
    reason: str | None = "stop", *, usage: bool | None = True, words: str | None = ""
) -> Step:
    """Send the last chunk and `[DONE]`, then end well.

    Args:
        reason: the finish_reason; None leaves it null.
        usage: True for the real one, None for null, False to leave it out.
        words: text in the last chunk's delta; None for a chunk without delta.
    """
    return {"finish": reason, "usage": usage, "words": words}


def drop_at(size_bytes: int) -> Step:
    """Drop the connection when so many bytes of the body are out; takes effect from here on."""
    return {"drop_at": size_bytes}


def drop() -> Step:
    """Drop the connection now; as the first step, before the headers."""
    return {"drop": True}


def silence() -> Step:
    """Send nothing more, with the connection open, until the client gives up."""
    return {"silence": True}


def endless() -> Step:
    """Send chunks until the client gives up."""
    return {"endless": True}


def whole() -> Step:
    """Answer with one JSON, as a server that does not stream; before anything else is sent."""
    return {"whole": True}


def done() -> Step:
    """Send `[DONE]` and end well, with no finish_reason but what was sent before."""
    return {"done": True}


def end() -> Step:
    """End the body well, with neither finish_reason nor `[DONE]`."""
    return {"end": True}


def check(script: Any) -> list[Step]:
    """Give the script if each of its steps is one of the above.

    Raises:
        ValueError: names the step that is not.
    """
    if not isinstance(script, list):
        raise ValueError(f"A script is a list of steps, not {script!r}.")  # noqa: TRY004
    for place, step in enumerate(script):
        kind = kind_of(step)
        if kind == "status" and any(kind_of(before) != "wait" for before in script[:place]):
            raise ValueError("Only wait can stand before status: the headers are out by then.")
        if not isinstance(step[kind], _KINDS[kind]):
            raise ValueError(f"The value of step {kind!r} cannot be {step[kind]!r}.")  # noqa: TRY004
    return script


def kind_of(step: Any) -> str:
    """Give the name of a step, the first key of it that names one.

    Raises:
        ValueError: it is no step.
    """
    for key in step if isinstance(step, dict) else ():
        if key in _KINDS:
            return str(key)
    raise ValueError(f"Not a step: {step!r}. Steps are {', '.join(_KINDS)}.")
