"""A CLIP tokenizer without a corpus: all bytes, and the given words as one token each.

OWL pools its text at the highest token id, so the end token is the last of the vocabulary, the start
token the one before it. Id 0, "!", pads.
"""

from collections.abc import Sequence

from transformers import CLIPTokenizer


def build_tokenizer(words: Sequence[str], max_length: int = 16) -> CLIPTokenizer:
    """Build a tokenizer of 514 tokens and a few for each word."""
    vocabulary, merges = _vocabulary(words)
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,  # type: ignore[arg-type]  # pairs are what it takes; its annotation is wrong
        pad_token="!",
        model_max_length=max_length,
    )


def _vocabulary(words: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    symbols = _byte_symbols()
    tokens = dict.fromkeys([*symbols, *(symbol + "</w>" for symbol in symbols)])
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        grown = word[0] if len(word) > 1 else word + "</w>"
        for index, letter in enumerate(word[1:], 2):
            piece = letter + "</w>" if index == len(word) else letter
            merges[grown, piece] = None
            grown += piece
            tokens[grown] = None
    tokens |= dict.fromkeys(["<|startoftext|>", "<|endoftext|>"])
    return {token: number for number, token in enumerate(tokens)}, list(merges)


def _byte_symbols() -> list[str]:
    """Return CLIP's printable stand-in for each byte, in its order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + number) for number in range(others)]
