"""The prompt of `detect-llm`: one object per line, with the label in the first parentheses."""

import re
from dataclasses import dataclass

_LABEL = re.compile(r"\((.*?)\)")


@dataclass(frozen=True, slots=True)
class SearchedObject:
    """What to look for, and the label that its boxes get."""

    phrase: str
    label: str


def parse_objects(prompt: str) -> tuple[SearchedObject, ...]:
    """Read a prompt. Raises `ValueError` that names the line."""
    found = []
    for number, line in enumerate(prompt.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LABEL.search(line)
        phrase = line[: match.start()].strip() if match else line.strip()
        label = match[1].strip() if match else phrase
        if not phrase or not label:
            raise ValueError(f"line {number} names no object or no label: write 'A person (person)'")
        found.append(SearchedObject(phrase, label))
    if not found:
        raise ValueError("it names no object: write one per line, such as 'A person (person)'")
    return tuple(found)
