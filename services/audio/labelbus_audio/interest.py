"""The labels of interest, as the official block reads them: one AudioSet label per line.

A new name may follow in parentheses: `Male speech, man speaking (speech)`. Case does not count, and new
names are written in lower case. A label of which parentheses are a part (`Jingle (music)`) stands for
itself. Commas belong to labels and separate nothing.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from labelbus_labeling.fields import unescaped

from labelbus_audio.audioset import lowered, nearest
from labelbus_audio.errors import LabelsError

_FORM = "Write one AudioSet label per line, and a new name in parentheses behind it if you want one."


@lru_cache(maxsize=64)
def parse_labels(text: str) -> Mapping[str, str]:
    """Return the label to write by the AudioSet label heard, both in lower case. Raises `LabelsError`.

    The two characters backslash-n count as a newline; lines of blanks are skipped.
    """
    wanted: dict[str, str] = {}
    for number, row in enumerate(unescaped(text).split("\n"), 1):
        line = row.strip().lower()
        if line:
            heard, written = _parse_line(line, number)
            wanted[heard] = written
    if not wanted:
        raise LabelsError(f"no label is named. {_FORM}", line=1)
    return MappingProxyType(wanted)


def described(wanted: Mapping[str, str]) -> str:
    """Return the labels on one line, as the metadata `ast_labels` of the official block says them."""
    return ", ".join(heard if heard == name else f"{heard} ({name})" for heard, name in wanted.items())


def _parse_line(line: str, number: int) -> tuple[str, str]:
    if line in lowered():
        return line, line
    heard, name = line, line
    if "(" in line and ")" in line:
        start, end = line.rindex("("), line.rindex(")")
        heard, name = line[:start].strip(), line[start + 1 : end].strip()
        if heard in lowered() and not name:
            raise LabelsError(f"the parentheses behind '{heard}' hold no new name. {_FORM}", line=number)
    if heard not in lowered():
        raise LabelsError(f"AudioSet has no label '{heard}'.{_hint(heard)}", line=number)
    return heard, name


def _hint(heard: str) -> str:
    near = nearest(heard)
    pieces = [piece.strip() for piece in heard.split(",")]
    known = [piece for piece in pieces if piece in lowered()]
    is_a_list = len(known) == len(pieces) or not any("," in one for one in near)
    if len(pieces) > 1 and known and is_a_list:
        return f" Labels stand on lines of their own: commas separate none. {_FORM}"
    if near:
        return f" Did you mean {' or '.join(repr(one) for one in near)}?"
    return f" {_FORM} The labels: https://research.google.com/audioset/dataset/index.html"
