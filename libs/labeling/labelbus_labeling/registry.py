"""The labelers that are installed, and whether parameters and samples fit them."""

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from itertools import product
from typing import get_args

from labelbus_contracts.labels import LabelingMethod, SampleKind
from pydantic import JsonValue, ValidationError

from labelbus_labeling.errors import UnknownLabeler, WrongParameters
from labelbus_labeling.labeler import ENTRY_POINTS, LabelerParameters, OperatesOn, Registration

log = logging.getLogger(__name__)

_FITS: Mapping[OperatesOn, tuple[SampleKind | None, frozenset[LabelingMethod] | None]] = {
    "images_object_detection": ("image", frozenset({"object_detection", "unknown"})),
    "images_single_label": ("image", frozenset({"single_label", "unknown"})),
    "audio": ("audio", None),
    "other": (None, None),
}
_SEVERAL: Mapping[SampleKind | None, str] = {
    "image": "images",
    "audio": "audio",
    "video": "videos",
    "table": "tables",
    "other": "samples of other kinds",
}
_SAID: Mapping[OperatesOn, str] = {
    "images_object_detection": "images of projects with bounding boxes",
    "images_single_label": "images of projects with one label per item",
    "audio": "audio",
    "other": "anything",
}


@cache
def installed() -> dict[str, Registration]:
    """Return every labeler by name. A package that cannot be loaded is logged and left out."""
    found: dict[str, Registration] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        try:
            registration: Registration = point.load()()
        except Exception as error:
            log.warning("Labeler %s cannot be loaded (%r). Mend or remove its package.", point.name, error)
            continue
        found[registration.name] = registration
    return found


def find(name: str, labelers: Mapping[str, Registration] | None = None) -> Registration:
    """Return one labeler. Raises `UnknownLabeler` that suggests the nearest name."""
    known = installed() if labelers is None else labelers
    if name not in known:
        raise UnknownLabeler(
            f"There is no labeler {name!r}{_nearest(name, known)}. "
            f"Choose from {', '.join(sorted(known)) or 'none: no labeler is installed'}."
        )
    return known[name]


def validate_parameters(registration: Registration, given: Mapping[str, JsonValue]) -> LabelerParameters:
    """Return the labeler's parameters. Raises `WrongParameters` that names every fault at once."""
    try:
        return registration.parameters.model_validate(dict(given))
    except ValidationError as error:
        faults = [
            _fault(registration, one["type"], one["loc"], one["msg"])
            for one in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise WrongParameters(
            f"The parameters of {registration.name} are wrong: {'; '.join(faults)}. "
            f"Run `labelbus actions new {registration.name}` to see them all."
        ) from None


def works_on(registration: Registration) -> tuple[str, ...]:
    """Say to people what a labeler works on."""
    return tuple(sorted(_SAID[one] for one in registration.operates_on))


def check_fits(
    registration: Registration, labeling_method: LabelingMethod, kind: SampleKind | None = None
) -> str | None:
    """Return why a labeler cannot work on such samples; None where it can. Without a kind any may come."""
    if _fits_any(registration.operates_on, labeling_method, kind):
        return None
    method = "" if labeling_method == "unknown" else f" in a project labeled by {labeling_method}"
    wants = " or ".join(works_on(registration))
    return (
        f"{registration.name} works on {wants}, not on {_SEVERAL.get(kind, 'samples')}{method}. "
        "Choose another labeler, or other samples."
    )


def frames_per_second(
    registration: Registration, parameters: LabelerParameters, kind: SampleKind
) -> int | None:
    """Return into how many frames per second a sample is to be split; None where it is labeled as it is."""
    if kind != "video" or registration.splits_videos is None:
        return None
    return registration.splits_videos(parameters)


@dataclass(frozen=True, slots=True)
class Clash:
    """The first of several labelers that cannot work after those before it."""

    place: int
    reason: str


def check_together(works: Sequence[tuple[Registration, LabelerParameters]]) -> Clash | None:
    """Return why no sample suits all of these labelers, or one comes too late; None where all is well."""
    worlds = {
        (kind, method)
        for kind, method in product(get_args(SampleKind), get_args(LabelingMethod))
        if method != "unknown"
    }
    for place, (one, parameters) in enumerate(works):
        if place > 0 and frames_per_second(one, parameters, "video") is not None:
            return Clash(place, f"{one.name} splits videos, which only the first step can. Move it there.")
        left = {(kind, method) for kind, method in worlds if _fits_any(one.operates_on, method, kind)}
        if not left:
            before = ", ".join(dict.fromkeys(other.name for other, _ in works[:place]))
            return Clash(
                place,
                f"{one.name} works on {' or '.join(works_on(one))}, and {before} on none of these. "
                "Make two actions of them.",
            )
        worlds = left
    return None


@cache
def _fits_any(
    operates_on: frozenset[OperatesOn], labeling_method: LabelingMethod, kind: SampleKind | None
) -> bool:
    return any(_fits(one, labeling_method, kind) for one in operates_on)


def _fits(operates_on: OperatesOn, labeling_method: LabelingMethod, kind: SampleKind | None) -> bool:
    wanted_kind, methods = _FITS[operates_on]
    kind_fits = wanted_kind is None or kind is None or kind == wanted_kind
    return kind_fits and (methods is None or labeling_method in methods)


def _fault(registration: Registration, kind: str, where: tuple[int | str, ...], said: str) -> str:
    name = ".".join(map(str, where))
    if kind == "extra_forbidden" and len(where) == 1:
        return f"{name!r} is unknown{_nearest(name, registration.parameters.model_fields)}"
    said = said.removeprefix("Value error, ")
    return f"{name}: {said}" if name else said


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (nearest: {near[0]!r})" if near else ""
