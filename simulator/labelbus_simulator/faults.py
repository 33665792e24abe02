"""Faults on request: which calls go wrong, how, and how often. The same seed makes the same calls fail."""

import random
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Literal, get_args

from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused

Kind = Literal[
    "latency", "error", "rate_limit", "drop", "truncate", "refuse", "not_json", "edit", "processing"
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule.

    - `latency`: wait `latency_s` (± up to `jitter_s`) before the answer
    - `error`: answer `status`; `not_json`: a gateway's HTML with `status`
    - `rate_limit`: 429, with Retry-After when `retry_after` (seconds or an HTTP date) is set
    - `drop`: cut the connection without an answer; `truncate`: cut it in the middle of the body
    - `refuse`: HTTP 200 with success:false and `message`
    - `edit`: a person edits the sample (`edit`, in the API's field names) just before the call is handled
    - `processing`: the sample becomes one that is still processing, before the call is handled

    `route` is a pattern (`*`) over route names or over "METHOD /path". `times` limits how often it strikes,
    `skip` lets the first matching calls pass, `rate` strikes at random. With `applied` the call takes effect
    and only its answer is lost.
    """

    kind: Kind
    route: str = "*"
    project_id: int | None = None
    sample_id: int | None = None
    rate: float = 1.0
    times: int | None = None
    skip: int = 0
    applied: bool = False
    status: int = 500
    message: str = "Simulated fault"
    retry_after: float | str | None = None
    latency_s: float = 0.0
    jitter_s: float = 0.0
    edit: Doc = field(default_factory=dict)

    @classmethod
    def from_json(cls, doc: Doc) -> "Fault":
        """Read a rule of the control API. Raises Refused for a field or kind that does not exist."""
        unknown = set(doc) - {item.name for item in fields(cls)}
        if unknown:
            raise Refused(f"A fault has no field {', '.join(sorted(unknown))}")
        if doc.get("kind") not in get_args(Kind):
            raise Refused(f"kind should be one of {', '.join(get_args(Kind))}")
        return cls(**doc)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    rng: random.Random
    seen: int = 0
    struck: int = 0


class Faults:
    """The rules in force, in the order in which they were added."""

    def __init__(self, seed: int = 0) -> None:
        self._seed, self._number = seed, 0
        self._armed: dict[int, _Armed] = {}
        self._spread = random.Random(seed)  # noqa: S311  # repeatable on purpose

    def add(self, fault: Fault) -> int:
        """Put a rule in force; returns its number."""
        self._number += 1
        rng = random.Random(f"{self._seed}:{self._number}")  # noqa: S311  # repeatable on purpose
        self._armed[self._number] = _Armed(fault, rng)
        return self._number

    def remove(self, number: int) -> None:
        """Take one rule out of force."""
        self._armed.pop(number, None)

    def clear(self) -> None:
        """Take every rule out of force."""
        self._armed.clear()

    def __bool__(self) -> bool:
        return bool(self._armed)

    def struck(self, number: int) -> int:
        """How often a rule has struck; 0 for one that is gone."""
        return self._armed[number].struck if number in self._armed else 0

    def striking(self, name: str, path: str, project_id: int | None, sample_id: int | None) -> list[Fault]:
        """The rules that strike this call."""
        hit = []
        for armed in self._armed.values():
            if _matches(armed.fault, name, path, project_id, sample_id) and _strikes(armed):
                armed.struck += 1
                hit.append(armed.fault)
        return hit

    def spread(self, fault: Fault) -> float:
        """The random part of a latency, in seconds."""
        return self._spread.uniform(-fault.jitter_s, fault.jitter_s)

    def to_json(self) -> list[Doc]:
        """The rules with their counts."""
        return [
            {"id": number, "seen": armed.seen, "struck": armed.struck, **asdict(armed.fault)}
            for number, armed in self._armed.items()
        ]


def _matches(fault: Fault, name: str, path: str, project_id: int | None, sample_id: int | None) -> bool:
    return (
        (fault.project_id in (None, project_id))
        and (fault.sample_id in (None, sample_id) or fault.kind in ("edit", "processing"))
        and (fnmatchcase(name, fault.route) or fnmatchcase(path, fault.route))
    )


def _strikes(armed: _Armed) -> bool:
    armed.seen += 1
    if armed.seen <= armed.fault.skip:
        return False
    if armed.fault.times is not None and armed.struck >= armed.fault.times:
        return False
    return armed.fault.rate >= 1 or armed.rng.random() < armed.fault.rate
