"""The JSON of the HTTP surface, which is untyped by nature; every module takes the alias from here."""

from typing import Any

Doc = dict[str, Any]  # a JSON object as it travels; checked by hand where it comes in
