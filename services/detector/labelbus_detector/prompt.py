"""The prompt, as the official block reads it: one `search phrase (label, minimum confidence)` per line.

The label is what stands in the last parentheses of a line; without them it is the search phrase itself.
The minimum confidence is optional and 0 by default. Lines of blanks are skipped. A phrase may stand on
several lines: it is searched once and every one of its lines judges what was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from labelbus_labeling.fields import unescaped

from labelbus_detector.errors import PromptError

_FORM = "write 'search phrase (label, minimum confidence)'"


@dataclass(frozen=True, slots=True)
class PromptLine:
    """What to search for, what to call it, and the least score that counts."""

    phrase: str
    label: str
    min_confidence: float = 0.0


def parse_prompt(text: str) -> tuple[PromptLine, ...]:
    """Read a prompt. The two characters backslash-n count as a newline. Raises `PromptError`."""
    rows = unescaped(text).splitlines()
    lines = tuple(_parse_line(row, number) for number, row in enumerate(rows, 1) if row.strip())
    if not lines:
        raise PromptError(f"the prompt names nothing to search for: {_FORM}", line=1, column=1)
    return lines


def phrases(lines: Sequence[PromptLine]) -> tuple[str, ...]:
    """Return the search phrases, each once, in the order of their first line."""
    return tuple(dict.fromkeys(line.phrase for line in lines))


def _parse_line(row: str, number: int) -> PromptLine:
    start, end = row.rfind("("), row.rfind(")")
    if start < 0 or end < 0:
        return PromptLine(row.strip(), row.strip())
    phrase = row[:start].strip()
    if not phrase:
        raise PromptError(f"no search phrase stands before '(': {_FORM}", line=number, column=start + 1)
    label, comma, rest = row[start + 1 : end].partition(",")
    if not comma:
        return PromptLine(phrase, label.strip())
    column = start + 1 + len(label) + 2
    return PromptLine(phrase, label.strip(), _confidence(rest.split(",")[0], rest, number, column))


def _confidence(text: str, rest: str, line: int, column: int) -> float:
    column += len(text) - len(text.lstrip())
    try:
        value = float(text)
    except ValueError:
        named = f"'{text.strip()}' is no number" if text.strip() else "a number is missing"
        more = " A label cannot contain a comma." if "," in rest else ""
        fact = f"{named} after the label's comma, where the minimum confidence stands: {_FORM}.{more}"
        raise PromptError(fact, line=line, column=column) from None
    if not 0 <= value <= 1:
        fact = f"the minimum confidence {text.strip()} lies outside 0 to 1"
        raise PromptError(fact, line=line, column=column)
    return value
