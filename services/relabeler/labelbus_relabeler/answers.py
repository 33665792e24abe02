"""Reading what models say: labels without their wrapping, and objects out of JSON. Raises `Unusable`."""

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Final

from labelbus_relabeler.completions import REFUSED, marked
from labelbus_relabeler.errors import Unusable

_FENCE = re.compile(r"\A```[\w-]*[ \t]*\n?(.*?)\n?```\Z", re.DOTALL)
_BULLET = re.compile(r"\A(?:[-*+•>]\s+|#{1,6}\s+)")
_WRAPPING: Final = " \t\r\n\"'`*_“”‘’«»„"
_LONGEST: Final = 100
"""Characters of a label: what is longer is a sentence."""
_SEVERAL = re.compile(r"[\n,;|]")
_REFUSALS: Final = ("i'm sorry", "i’m sorry", "i am sorry", "i can't", "i can’t", "i cannot", "sorry,")


def tidied(text: str) -> str:
    """Return a label without space, quotes, Markdown and trailing dots around it; its case stays."""
    text = text.strip()
    fenced = _FENCE.match(text)
    text = _BULLET.sub("", (fenced[1] if fenced else text).strip())
    before = None
    while before != text:
        before = text
        text = text.strip(_WRAPPING).rstrip(".").rstrip(_WRAPPING)
    return text


def key_of(label: str) -> str:
    """Return what two labels share that count as equal: tidied, and of one case."""
    return tidied(label).casefold()


def label_of(text: str, *, prompt: str, allowed: Mapping[str, str] | None = None) -> str:
    """Return the one label that an answer is, tidied.

    `allowed` maps the keys of the only labels that may be answered to their spelling. Without it a label
    is refused that is several, a sentence, or in letters of a script that the prompt does not use.
    """
    label = tidied(_said(text))
    if not label:
        raise Unusable("it is empty")
    if allowed is not None:
        if label.casefold() not in allowed:
            raise Unusable(f"it is none of the allowed labels ({', '.join(allowed.values())})")
        return allowed[label.casefold()]
    if _SEVERAL.search(label):
        raise Unusable("it is several labels, not one")
    if label.lower().startswith(_REFUSALS):
        raise Unusable("it is a refusal")
    if len(label) > _LONGEST:
        raise Unusable("it is a sentence, not a label")
    strange = scripts(label) - scripts(prompt) - {"LATIN"}
    if strange:
        raise Unusable(f"it is in another script than the prompt ({', '.join(sorted(strange)).lower()})")
    return label


def object_of(text: str) -> Mapping[str, object]:
    """Return the JSON object that an answer is, in a Markdown fence, between sentences, or alone."""
    text = _said(text).strip()
    try:
        found = json.loads(_bare(text))
    except ValueError:
        raise Unusable("it is empty" if not text else "it is not JSON") from None
    if not isinstance(found, dict):
        raise Unusable("it is no JSON object")
    return found


def text_in(found: Mapping[str, object], name: str) -> str:
    """Return a text of an answered object; numbers and truths are written as text."""
    value = found.get(name)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str):
        raise Unusable(f"its {name!r} is missing or no text")
    return value


def spelled(labels: Collection[str]) -> dict[str, str]:
    """Map the key of each label to how it is spelled."""
    return {key_of(label): label for label in labels}


def scripts(text: str) -> set[str]:
    """Return the scripts of the letters of a text, by their Unicode names: {"LATIN", "CYRILLIC"}."""
    return {unicodedata.name(letter, "UNKNOWN").split()[0] for letter in text if letter.isalpha()}


def _said(text: str) -> str:
    mark, said = marked(text)
    if mark:
        raise Unusable("it is a refusal" if mark == REFUSED else "it was cut off")
    return said


def _bare(text: str) -> str:
    """Cut off what a model says around an object; lists and other texts stay whole."""
    fenced = _FENCE.match(text)
    if fenced or text.startswith("["):
        return fenced[1] if fenced else text
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
