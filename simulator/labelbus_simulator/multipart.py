"""Reading multipart/form-data from a body that is already whole."""

from dataclasses import dataclass

from python_multipart.multipart import FormParser, parse_options_header

from labelbus_simulator.errors import Refused


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a form."""

    name: str
    filename: str
    data: bytes


def read_parts(content_type: str, body: bytes) -> list[Part]:
    """The files of a form, in order. Raises Refused for anything but multipart/form-data."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Refused("The body should be multipart/form-data")
    parts: list[Part] = []

    def keep(file: object) -> None:
        stream = file.file_object  # type: ignore[attr-defined]  # the library's File
        stream.seek(0)
        name, filename = file.field_name or b"", file.file_name or b""  # type: ignore[attr-defined]
        parts.append(Part(name.decode(), filename.decode(), stream.read()))

    parser = FormParser("multipart/form-data", None, keep, boundary=options[b"boundary"])
    parser.write(body)
    parser.finalize()
    return parts
