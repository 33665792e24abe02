"""Which boxes to keep, as the official block reads it: labels by newline, comma or `|`, new names in
parentheses: `bottle (beer)`.

Case does not count. A box keeps the model's spelling of its label unless another name is given.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from labelbus_labeling.fields import unescaped

from labelbus_classifier.errors import KeepListError

_SEPARATORS: Final = re.compile(r"[\n|,]")
_RENAMED: Final = re.compile(r"(.*?)\((.*?)\)$")


@lru_cache(maxsize=64)
def parse_keep(text: str | None) -> Mapping[str, str] | None:
    """Return the label to write by the lower-cased label found; None keeps every box.

    The two characters backslash-n count as a newline; blank entries are skipped. Raises `KeepListError`.
    """
    entries = [entry.strip() for entry in _SEPARATORS.split(unescaped(text or ""))]
    kept = dict(_parse_entry(entry) for entry in entries if entry)
    return MappingProxyType(kept) if kept else None


def kept_label(found: str, kept: Mapping[str, str] | None) -> str | None:
    """Return the label to write for one that was found; None drops the box."""
    if kept is None:
        return found
    name = kept.get(found.lower())
    return found if name is not None and name.lower() == found.lower() else name


def _parse_entry(entry: str) -> tuple[str, str]:
    if "(" not in entry:
        return entry.lower(), entry.lower()
    match = _RENAMED.match(entry)
    if match is None or not match[1].strip() or not match[2].strip():
        raise KeepListError(f"'{entry}' cannot be read. Write 'label' or 'label (new label)'.")
    return match[1].strip().lower(), match[2].strip()
