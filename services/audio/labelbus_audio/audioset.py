"""The 527 labels of AudioSet, compared without regard to case."""

import difflib
from functools import cache
from importlib.resources import files


@cache
def labels() -> tuple[str, ...]:
    """Return the labels as AudioSet spells them."""
    text = files("labelbus_audio").joinpath("audioset.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


@cache
def lowered() -> frozenset[str]:
    """Return the labels in lower case."""
    return frozenset(label.lower() for label in labels())


def nearest(text: str) -> tuple[str, ...]:
    """Return up to three labels that were likely meant: naming it, beginning alike, or spelled alike."""
    wanted = text.lower().strip()
    spelled = {label.lower(): label for label in labels()}
    naming = [label for label in spelled if wanted and _names(label, wanted)]
    near = difflib.get_close_matches(wanted, spelled, n=3, cutoff=0.6)
    return tuple(spelled[label] for label in list(dict.fromkeys([*naming, *near]))[:3])


def _names(label: str, wanted: str) -> bool:
    words = label.replace(",", " ").split()
    return wanted in words or label.startswith(wanted) or wanted.startswith(label)
