"""What is read of a chat completion: the answer's text, and what it took."""

import re
from typing import Final

from pydantic import BaseModel, ConfigDict

REFUSED: Final = "<refused>"
CUT: Final = "<cut>"
"""What an answer's text begins with where the model refused, or was cut off: both are billed."""

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
"""What models say first whose server leaves their thoughts in the answer."""


def marked(text: str) -> tuple[str, str]:
    """Split a text into its mark, "" where it has none, and what was said."""
    for mark in (REFUSED, CUT):
        if text.startswith(mark):
            return mark, text.removeprefix(mark).strip()
    return "", text


class _Part(BaseModel):
    """Ignores what is not read here: servers say more, and differ in what."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class _Message(_Part):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Part):
    message: _Message
    finish_reason: str | None = None


class _InputDetails(_Part):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Used(_Part):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None


class Completion(_Part):
    """One answer; its first choice counts."""

    choices: tuple[_Choice, ...]
    model: str | None = None
    usage: _Used | None = None

    @property
    def text(self) -> str:
        """Return what was said, marked where it was refused or cut off; nothing without a choice."""
        if not self.choices:
            return ""
        choice = self.choices[0]
        if choice.message.refusal:
            return f"{REFUSED} {choice.message.refusal}"
        text = _THOUGHT.sub("", choice.message.content or "")
        if choice.finish_reason == "content_filter":
            return f"{REFUSED} {text}".strip()
        return f"{CUT} {text}".strip() if choice.finish_reason == "length" else text

    @property
    def tokens(self) -> tuple[int, int] | None:
        """Return the tokens of input and output; None where the server does not say, or nothing credible.

        Some servers count what was thought in the total only.
        """
        used = self.usage or _Used()
        taken, given = used.prompt_tokens or 0, used.completion_tokens
        if taken < 1 or given is None or given < 0:
            return None
        return taken, max(given, (used.total_tokens or 0) - taken)

    @property
    def cached_tokens(self) -> int:
        """Return the input that the provider had in its cache."""
        return max(0, self._details.cached_tokens or 0)

    @property
    def written_tokens(self) -> int:
        """Return the input that the provider put into its cache, which some models bill higher."""
        return max(0, self._details.cache_write_tokens or 0)

    @property
    def _details(self) -> _InputDetails:
        details = self.usage.prompt_tokens_details if self.usage else None
        return details or _InputDetails()
