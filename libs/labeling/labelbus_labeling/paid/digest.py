"""A stable name for a question: equal questions have equal digests, on every machine and version."""

import hashlib
import json
from collections.abc import Mapping


def digest_of(*parts: bytes | str | Mapping[str, object]) -> str:
    """Return the SHA-256 of image bytes or crops, prompts and parameters, in their order, as hex.

    Parts do not run together: ("ab", "c") differs from ("a", "bc"), and b"a" from "a". The order of a
    mapping's keys does not matter; its values must be JSON.
    """
    digest = hashlib.sha256()
    for part in parts:
        kind, blob = _framed(part)
        digest.update(kind + len(blob).to_bytes(8, "big") + blob)
    return digest.hexdigest()


def _framed(part: bytes | str | Mapping[str, object]) -> tuple[bytes, bytes]:
    if isinstance(part, bytes):
        return b"b", part
    if isinstance(part, str):
        return b"s", part.encode()
    return b"m", json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
