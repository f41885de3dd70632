"""What happens in one run and when: made of a seed alone, printed, and so replayed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from local.standin import faults
from local.standin.faults import Step

Stage = Literal["claim", "after claim", "mid-stream", "record", "after record"]
# Where a process may die, in the order in which a delivery gets there.
STAGES: tuple[Stage, ...] = ("claim", "after claim", "mid-stream", "record", "after record")

# What the store may do to one call. "lost": done, but answered with UNAVAILABLE.
STORE_FAULTS = ("UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "lost")

PROVISIONING = "Service agents are being provisioned. Please retry."


@dataclass(frozen=True)
class ModelFault:
    """One way in which a model server fails a request.

    Attributes:
        paid: the stream begins, so that the attempt costs.
        final: the outcome that it ends in; None if a redelivery mends it.
    """

    name: str
    script: tuple[Step, ...]
    paid: bool = False
    final: str | None = None


def _refused(code: int, *, name: str = "", **more: object) -> ModelFault:
    step = faults.status(code, **more)  # type: ignore[arg-type]
    return ModelFault(name or str(code), (step,))


def _broken(name: str, *steps: Step) -> ModelFault:
    return ModelFault(name, steps, paid=True)


_STOP = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
_ERROR_INSIDE = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
MODEL_FAULTS: tuple[ModelFault, ...] = (
    ModelFault("400", (faults.status(400),), final="rejected"),
    _refused(400, name="400 provisioning", message=PROVISIONING),
    *(_refused(code) for code in (401, 403, 404, 408, 429, 499, 500, 503, 504)),
    _refused(429, name="429 retry after 1", retry_after=1),
    _refused(429, name="429 retry after 60", retry_after=60),
    _refused(500, name="500 plain", array=False),
    ModelFault("dropped before headers", (faults.drop(),)),
    _broken("dropped at once", faults.chunks(0), faults.delay(0.0), faults.drop()),
    _broken("dropped mid-stream", faults.chunks(3), faults.drop()),
    _broken("silent", faults.chunks(2), faults.silence()),
    _broken("silent at once", faults.silence()),
    _broken("endless", faults.endless()),
    _broken("garbage", faults.chunks(1), faults.raw(b"data: {\xff\xfe not json\n\n"), faults.end()),
    _broken("error inside", faults.chunks(2), faults.event(_ERROR_INSIDE)),
    _broken("error inside, in a list", faults.chunks(2), faults.event([_ERROR_INSIDE])),
    _broken("no finish reason", faults.chunks(), faults.end()),
    _broken("done without finish reason", faults.chunks(2), faults.done()),
    # Odd, but nothing is missing: the first answer is taken, and no second one paid for.
    ModelFault("finish reason first", (faults.chunk(_STOP), faults.delay(2.2))),
    ModelFault("finish reason early", (faults.chunks(3), faults.chunk(_STOP), faults.delay(2.2))),
    ModelFault("no end", (faults.chunks(), faults.chunk(_STOP), faults.silence())),
    ModelFault("one JSON", (faults.whole(),)),
    ModelFault("byte order mark", (faults.raw(b"\xef\xbb\xbf"),)),
)


@dataclass(frozen=True)
class Put:
    """One generation of one object.

    Attributes:
        at: seconds after the start.
        object_number: which object; one that was put before is overwritten.
        deleted_first: delete the object before, as for a re-upload.
        deleted_after: seconds after which it is deleted again; None: it stays.
        copies: how many deliveries of its event begin at once.
        failures: what the model does to the first requests, in turn.
    """

    number: int
    at: float
    object_number: int
    deleted_first: bool = False
    deleted_after: float | None = None
    copies: int = 1
    failures: tuple[ModelFault, ...] = ()


@dataclass(frozen=True)
class Strike:
    """One fault of the surroundings.

    Attributes:
        at: seconds after the start, from when it is armed.
        kind: `kill`, `term`, `freeze`, or one of STORE_FAULTS.
        stage: what must happen for it to strike; unused by `freeze`.
        slot: which instance.
        seconds: how long `freeze` lasts.
        calls: how many calls a store fault hits, one after the other.
    """

    at: float
    kind: str
    stage: Stage = "claim"
    slot: int = 0
    seconds: float = 0.0
    calls: int = 1


@dataclass(frozen=True)
class Schedule:
    """A whole run."""

    seed: int
    puts: tuple[Put, ...]
    strikes: tuple[Strike, ...] = field(default=())

    def lines(self) -> list[str]:
        """Give the schedule for people, in the order of time."""
        told = [(put.at, _tell_put(put)) for put in self.puts]
        told += [(strike.at, _tell_strike(strike)) for strike in self.strikes]
        return [f"{at:7.2f}  {text}" for at, text in sorted(told)]


def make(uploads: int, seed: int, *, slots: int = 3, rate: float = 6.0) -> Schedule:
    """Make the schedule of a mixed run.

    Args:
        uploads: generations in all; a part of them overwrites others.
        seed: equal seeds give equal schedules.
        slots: instances.
        rate: uploads in a second, on average.
    """
    chance = random.Random(seed)
    puts: list[Put] = []
    at, objects = 0.0, 0
    for number in range(uploads):
        at += chance.expovariate(rate)
        overwrite = objects > 3 and chance.random() < 0.2
        # A recent one, so that it is met while it streams or waits.
        target = objects - 1 - min(chance.randrange(1, 4), objects - 1) if overwrite else objects
        objects += not overwrite
        puts.append(
            Put(
                number,
                round(at, 3),
                target,
                deleted_first=overwrite and chance.random() < 0.4,
                deleted_after=round(chance.uniform(0.0, 2.0), 2)
                if chance.random() < 0.04
                else None,
                copies=chance.choices((1, 2, 5, 20), (70, 18, 9, 3))[0],
                failures=_failures(chance),
            )
        )
    return Schedule(seed, tuple(puts), tuple(_strikes(chance, at, slots)))


def _soon(chance: random.Random) -> float:
    return round(chance.uniform(0.0, 2.0), 2)


def _failures(chance: random.Random) -> tuple[ModelFault, ...]:
    if chance.random() < 0.55:
        return ()
    if chance.random() < 0.06:
        # Never mended: it must be given up, and said so.
        return (_broken("dropped for ever", faults.chunks(3), faults.drop()),)
    chosen = [chance.choice(MODEL_FAULTS) for _ in range(chance.choice((1, 1, 1, 2)))]
    if chance.random() < 0.25:
        size = chance.randrange(1, 2500)
        chosen[0] = _broken(f"dropped at byte {size}", faults.drop_at(size))
    return tuple(chosen)


def _strikes(chance: random.Random, until: float, slots: int) -> list[Strike]:
    found: list[Strike] = []
    at = 1.0
    while at < until:
        kind = chance.choices(
            ("kill", "term", "freeze", *STORE_FAULTS), (26, 14, 10, 12, 12, 12, 14)
        )[0]
        stage = chance.choice(STAGES)
        found.append(
            Strike(
                round(at, 3),
                kind,
                stage,
                chance.randrange(slots),
                seconds=round(chance.uniform(0.2, 1.5), 2) if kind == "freeze" else 0.0,
                calls=chance.choice((1, 1, 2, 6)),
            )
        )
        at += chance.expovariate(1 / 1.6)
    return found


def _tell_put(put: Put) -> str:
    told = f"put {put.number} object {put.object_number}"
    if put.deleted_first:
        told += " after deleting it"
    if put.deleted_after is not None:
        told += f", deleted {put.deleted_after:g} s later"
    if put.copies > 1:
        told += f", {put.copies} deliveries at once"
    if put.failures:
        told += "; model: " + ", then ".join(fault.name for fault in put.failures)
    return told


def _tell_strike(strike: Strike) -> str:
    if strike.kind == "freeze":
        return f"store frozen for {strike.seconds:g} s"
    times = f" x{strike.calls}" if strike.kind in STORE_FAULTS else ""
    return f"{strike.kind}{times} at {strike.stage!r} of instance {strike.slot}"
