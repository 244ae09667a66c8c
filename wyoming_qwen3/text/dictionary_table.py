r"""Reads and writes dictionaries as CSV, which people edit by hand or with a spreadsheet.

    # Lines that begin with # are comments.
    written,spoken,language,match,case
    HA,Home Assistant
    Nguyen,Win,en
    (\d+) ?kWp,\1 Kilowatt Peak,de,regex,yes

The first line may name the columns in another order; without one they are as above. Only the first two are needed.
Values are separated by commas, semicolons or tabs. Comments, and lines that can't be used, stay when entries are
changed.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import quoted

from .dictionary import Entry, MatchKind, make_entry

MEDIA_TYPE = "text/csv"

MAX_BYTES = 8 << 20
"""Maximum size of a file."""

MAX_ENTRIES = 5000
MAX_EXPRESSIONS = 200
"""Maximum number of regular expressions among the entries. Each costs time in every text."""

_COLUMNS = ("written", "spoken", "language", "match", "case")
_ABOUT = "# What is written, and what is spoken instead. The studio and /api/dictionary change this file too."
_MATCHES: dict[str, MatchKind] = {"": "word", "word": "word", "regex": "regex"}
_CASES = {"": False, "no": False, "false": False, "0": False, "yes": True, "true": True, "1": True}
_MAX_LINE = 2000


@dataclass(frozen=True)
class LineProblem:
    """Why a line of a file can't be used, in one sentence. Lines are counted from 1."""

    line: int
    message: str


@dataclass(frozen=True)
class Line:
    """A line of a file as it was written; `entry` is None for comments, the names of columns, and unusable lines."""

    text: str
    entry: Entry | None = None


@dataclass(frozen=True)
class DictionaryTable:
    """The lines of a file, and what is wrong with them. All entries have different IDs."""

    lines: tuple[Line, ...] = ()
    problems: tuple[LineProblem, ...] = ()
    delimiter: str = ","
    columns: tuple[str, ...] = _COLUMNS

    @property
    def entries(self) -> list[Entry]:
        """The entries in their order."""
        return [line.entry for line in self.lines if line.entry]

    def check(self) -> None:
        """Raise InvalidRequest with a sentence for each unusable line, at most five, if there are any."""
        told = [f"Line {problem.line}: {problem.message}" for problem in self.problems]
        if told:
            more = [f"{len(told) - _MAX_TOLD} more lines can't be used."] if len(told) > _MAX_TOLD else []
            raise InvalidRequest(" ".join([*told[:_MAX_TOLD], *more]), param="file")

    def to_csv(self) -> bytes:
        """Return the file, which begins with the names of the columns if nothing is in it yet."""
        return "".join(f"{line.text}\n" for line in self._started()).encode()

    def merged(self, entries: Iterable[Entry]) -> "DictionaryTable":
        """Return a table with these entries, each in the place of the one with its ID, or else at the end.

        Raises InvalidRequest if there are too many.
        """
        given = {entry.id: entry for entry in entries}
        kept = [self._with(line, given.pop(line.entry.id, None)) if line.entry else line for line in self._started()]
        return self._checked([*kept, *map(self._line, given.values())])

    def changed(self, entry_id: str, entry: Entry) -> "DictionaryTable":
        """Return a table with an entry in the place of the one with the ID. Raises InvalidRequest as `merged` does."""
        return self._checked(
            [self._with(line, entry) if line.entry and line.entry.id == entry_id else line for line in self.lines]
        )

    def without(self, entry_id: str) -> "DictionaryTable":
        """Return a table without an entry."""
        return replace(self, lines=tuple(line for line in self.lines if not line.entry or line.entry.id != entry_id))

    def _started(self) -> Sequence[Line]:
        return self.lines or (Line(_ABOUT), Line(self.delimiter.join(self.columns)))

    def _checked(self, lines: Sequence[Line]) -> "DictionaryTable":
        table = replace(self, lines=tuple(lines))
        _check_number(table.entries)
        return table

    def _with(self, line: Line, entry: Entry | None) -> Line:
        return line if entry in {None, line.entry} else self._line(entry)

    def _line(self, entry: Entry) -> Line:
        values = {
            "written": entry.written,
            "spoken": entry.spoken,
            "language": entry.language or "",
            "match": "" if entry.match == "word" else entry.match,
            "case": "yes" if entry.case else "",
        }
        row = [values.get(column, "") for column in self.columns]
        needed = 1 + max(
            self.columns.index(column) for column in self.columns if values.get(column) or column == "spoken"
        )
        row = row[:needed]
        text = _row(row, self.delimiter, csv.QUOTE_MINIMAL)
        return Line(_row(row, self.delimiter, csv.QUOTE_ALL) if text.startswith("#") else text, entry)


def table_of(entries: Iterable[Entry]) -> DictionaryTable:
    """Return a new table of these entries. Raises InvalidRequest if there are too many, or two of one ID."""
    entries = list(entries)
    known: set[str] = set()
    for entry in entries:
        if entry.id in known:
            raise InvalidRequest(f"There are two entries for {quoted(entry.written)}.", param="entries")
        known.add(entry.id)
    return DictionaryTable().merged(entries)


def read_table(data: bytes) -> DictionaryTable:
    """Return the table in a file, which must be UTF-8, else InvalidRequest is raised.

    Lines that can't be used are among its problems.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidRequest(f"Line {line} is not UTF-8; save the file as UTF-8.", param="file") from None
    return _LineReader().read(re.split(r"\r\n|\r|\n", text.rstrip()) if text.strip() else [])


class _LineReader:
    """Reads the lines of one file."""

    def __init__(self) -> None:
        self._delimiter = ","
        self._columns: tuple[str, ...] = _COLUMNS
        self._begun = False
        self._line_of: dict[str, int] = {}
        self._expressions = 0
        self._problems: list[LineProblem] = []

    def read(self, texts: Sequence[str]) -> DictionaryTable:
        lines = tuple(self._line(text, number) for number, text in enumerate(texts, 1))
        return DictionaryTable(lines, tuple(self._problems), self._delimiter, self._columns)

    def _line(self, text: str, number: int) -> Line:
        if not text.strip() or text.startswith("#"):
            return Line(text)
        try:
            if not self._begun:
                self._begun = True
                if self._is_header(text, number):
                    return Line(self._delimiter.join(self._columns))
            return Line(text, self._entry(_values(text, self._delimiter), number))
        except InvalidRequest as error:
            self._problems.append(LineProblem(number, str(error)))
            return Line(text)

    def _is_header(self, text: str, number: int) -> bool:
        """Return whether a line names the columns, and if so, remember them, those that it lacks last."""
        for delimiter in ",;\t":
            names = [name.lower() for name in _values(text, delimiter)]
            if {"written", "spoken"} <= set(names):
                self._delimiter = delimiter
                self._columns = (*names, *(name for name in _COLUMNS if name not in names))
                for name in names:
                    if name not in _COLUMNS:
                        message = f"There is no column {quoted(name)}; there are {', '.join(_COLUMNS)}."
                        self._problems.append(LineProblem(number, message))
                return True
        return False

    def _entry(self, values: Sequence[str], number: int) -> Entry:
        if len(values) < 2:
            raise InvalidRequest("What is spoken is missing; write it after a comma, or a comma alone for silence.")
        if any(values[len(self._columns) :]):
            raise InvalidRequest(
                f"It has {len(values)} values, but there are {len(self._columns)} columns; "
                "put a value with a comma in it between double quotes."
            )
        entry = _entry_of(dict(zip(self._columns, values, strict=False)))
        if known := self._line_of.get(entry.id):
            raise InvalidRequest(f"Line {known} has the same already.")
        is_expression = entry.match == "regex"
        if len(self._line_of) == MAX_ENTRIES or (is_expression and self._expressions == MAX_EXPRESSIONS):
            raise _too_many()
        self._line_of[entry.id] = number
        self._expressions += is_expression
        return entry


def _entry_of(values: dict[str, str]) -> Entry:
    match, case = values.get("match", "").lower(), values.get("case", "").lower()
    if match not in _MATCHES:
        raise InvalidRequest(f"match must be word or regex, not {quoted(match)}.")
    if case not in _CASES:
        raise InvalidRequest(f"case must be yes or no, not {quoted(case)}.")
    return make_entry(values["written"], values["spoken"], values.get("language"), _MATCHES[match], case=_CASES[case])


def _values(text: str, delimiter: str) -> list[str]:
    if len(text) > _MAX_LINE:
        raise InvalidRequest(f"It has more than {_MAX_LINE:,} characters.")
    try:
        (values,) = csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise InvalidRequest(f"The quotes are wrong: {error}.") from None
    return [value.strip() for value in values]


def _row(values: Sequence[str], delimiter: str, quoting: Any) -> str:
    row = io.StringIO()
    csv.writer(row, delimiter=delimiter, quoting=quoting, lineterminator="").writerow(values)
    return row.getvalue()


def _check_number(entries: Sequence[Entry]) -> None:
    if len(entries) > MAX_ENTRIES or sum(entry.match == "regex" for entry in entries) > MAX_EXPRESSIONS:
        raise _too_many()


def _too_many() -> InvalidRequest:
    return InvalidRequest(
        f"A dictionary has at most {MAX_ENTRIES:,} entries, of which {MAX_EXPRESSIONS} may be regular expressions.",
        param="entries",
    )


_MAX_TOLD = 5
