"""The one file of a ``multipart/form-data`` body, taken out of it as it streams in."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import refused

PLAIN = ("", "binary", "8bit", "7bit")
"""Transfer encodings that change no byte; browsers and curl name none."""


class FilePart:
    """A form with one file: its name and type once they came, and its bytes."""

    def __init__(self, content_type: str) -> None:
        """Problem 422 where the type names no usable boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise refused("file", "Content-Type: multipart/form-data names no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise refused("file", f"the body is no form: {error}") from None
        self.name: str | None = None
        """The file's name; None before it came."""
        self.content_type = ""
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""
        self._bytes: list[bytes] = []
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The file's bytes in these of the body; Problem 422 where they are no part of a form."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise refused("file", f"the body is no form: {error}") from None
        found, self._bytes = b"".join(self._bytes), []
        return found

    def end(self) -> None:
        """Problem 422 where the form broke off, or had no file."""
        if not self._ended:
            raise refused("file", "the form breaks off before its last boundary")
        if self.name is None:
            raise refused("file", "the form has no part with a file")

    def _part_begins(self) -> None:
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        file_name = options.get(b"filename")
        if file_name is None:
            part = _text(options.get(b"name", b""))
            said = f"the part {part!r} is no file: send one part with a file, options in the query"
            raise refused("file", said)
        if self.name is not None:
            raise refused("file", "the form has several files: send one a job")
        encoding = _text(self._headers.get(b"content-transfer-encoding", b"")).strip().lower()
        if encoding not in PLAIN:
            said = f"the file is encoded as {encoding!r}: send its bytes as they are"
            raise refused("file", said)
        self.name = _text(file_name)
        self.content_type = _text(self._headers.get(b"content-type", b""))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._bytes.append(data[start:end])

    def _end(self) -> None:
        self._ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
