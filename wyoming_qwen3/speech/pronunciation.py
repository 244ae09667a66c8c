"""The pronunciation dictionary: one file that the server changes, and one that it only reads. People may edit both.

text/dictionary_table.py says what the files contain, text/dictionary.py what entries do.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wyoming_qwen3.core.errors import InvalidRequest, NotFound, SpeechError, StorageFailed
from wyoming_qwen3.core.speakers import Language, quoted
from wyoming_qwen3.store.edited_file import EditedFile
from wyoming_qwen3.text.dictionary import Dictionary, Entry, Rewriting
from wyoming_qwen3.text.dictionary_table import MAX_BYTES, DictionaryTable, read_table, table_of

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class DictionaryProblem:
    """What can't be used of a file, in one sentence; `line` is None if that concerns all of it."""

    shared: bool
    line: int | None
    message: str

    def __str__(self) -> str:
        where = "The shared dictionary" if self.shared else "The dictionary"
        return f"{where}, line {self.line}: {self.message}" if self.line else f"{where}: {self.message}"


@dataclass
class _Source:
    """A file and what it contained when it was last read."""

    file: EditedFile
    shared: bool
    table: DictionaryTable = field(default_factory=DictionaryTable)
    unread: DictionaryProblem | None = None

    def read(self) -> bool:
        """Read the file if it has changed; return whether it has. If it can't be read, nothing else changes."""
        try:
            table = self.file.read(read_table)
        except SpeechError as error:
            self.unread = DictionaryProblem(self.shared, None, str(error))
            return False
        self.unread = None
        if table is None:
            return False
        self.table = table
        return True

    def problems(self) -> list[DictionaryProblem]:
        found = [DictionaryProblem(self.shared, problem.line, problem.message) for problem in self.table.problems]
        return [self.unread, *found] if self.unread else found


class PronunciationDictionary:
    """Replaces words by how they are spoken, and counts that. For one event loop, which no method blocks.

    The methods that change entries raise StorageFailed, NotFound for an unknown ID, and InvalidRequest; nothing has
    changed then. Entries of the server's own file have precedence over those of the shared one.
    """

    def __init__(self, file: Path, shared: Path | None = None) -> None:
        """`file` is the one that the server changes; `shared` is only read. Neither need exist."""
        self._own = _Source(EditedFile(file, MAX_BYTES), shared=False)
        self._shared = _Source(EditedFile(shared, MAX_BYTES), shared=True) if shared else None
        self._dictionary = Dictionary(())
        self._counts: Counter[str] = Counter()
        self._late: dict[str, str] = {}
        self._logged: frozenset[DictionaryProblem] = frozenset()
        self._changing = asyncio.Lock()

    @property
    def table(self) -> DictionaryTable:
        """The file that the server changes."""
        return self._own.table

    @property
    def shared(self) -> list[Entry]:
        """The entries of the file that is only read."""
        return self._shared.table.entries if self._shared else []

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each entry was applied since the server was started, by its ID."""
        return self._counts

    @property
    def late(self) -> Mapping[str, str]:
        """ID of each expression that took too long -> one sentence on it."""
        return self._late

    @property
    def problems(self) -> list[DictionaryProblem]:
        """What can't be used of the files."""
        return [problem for source in self._sources() for problem in source.problems()]

    def faults(self) -> list[str]:
        """Return sentences on what is wrong with the files and expressions, at most `_MAX_FAULTS` and their number."""
        entries = self._dictionary.by_id
        late = [_about(entries[one], message) for one, message in self._late.items() if one in entries]
        found = [*map(str, self.problems), *late]
        more = len(found) - _MAX_FAULTS
        return [*found[:_MAX_FAULTS], *([f"The dictionary has {more} more problems."] if more > 0 else [])]

    def apply(self, text: str, language: Language | None) -> str:
        """Return clean text as it is to be spoken, and count what was applied; see `Dictionary.rewrite`."""
        dictionary = self._dictionary  # a thread may replace it
        rewriting = dictionary.rewrite(text, language)
        self._counts.update(rewriting.applied)
        for entry_id, message in rewriting.late.items():
            if entry_id not in self._late:
                self._late[entry_id] = message
                _LOGGER.warning("%s", _about(dictionary.by_id[entry_id], message))
        return rewriting.text

    def try_out(self, text: str, language: Language | None) -> Rewriting:
        """Return what would be spoken, without counting it."""
        return self._dictionary.rewrite(text, language)

    async def run(self, interval: float = 3.0) -> None:
        """Read the files whenever they have changed, forever, with a pause of `interval` seconds after each look."""
        while True:
            await self.look()
            await asyncio.sleep(interval)

    async def look(self) -> None:
        """Read the files if they have changed, and log what is new among their problems."""
        async with self._changing:
            await asyncio.to_thread(self._read)
        self._log()

    async def replace(self, entries: Iterable[Entry]) -> None:
        """Replace all entries, and comments, of the server's file."""
        await self._change(lambda _: table_of(entries))

    async def merge(self, entries: Iterable[Entry]) -> None:
        """Add entries, in place of those with the same IDs."""
        await self._change(lambda table: table.merged(entries))

    async def add(self, entry: Entry) -> None:
        """Add an entry. There must be none with its ID."""

        def added(table: DictionaryTable) -> DictionaryTable:
            _check_new(table, entry)
            return table.merged([entry])

        await self._change(added)

    async def update(self, entry_id: str, entry: Entry) -> None:
        """Change an entry, and thereby its ID, which no other entry may have."""

        def updated(table: DictionaryTable) -> DictionaryTable:
            _check_known(table, entry_id)
            if entry.id != entry_id:
                _check_new(table, entry)
            return table.changed(entry_id, entry)

        await self._change(updated)

    async def remove(self, entry_id: str) -> None:
        """Delete an entry."""

        def removed(table: DictionaryTable) -> DictionaryTable:
            _check_known(table, entry_id)
            return table.without(entry_id)

        await self._change(removed)

    async def _change(self, change: Callable[[DictionaryTable], DictionaryTable]) -> None:
        async def changing() -> None:
            async with self._changing:
                await asyncio.to_thread(self._write, change)

        await asyncio.shield(changing())  # else a second change could begin while a thread still writes
        self._log()

    def _sources(self) -> list[_Source]:
        return [self._own, self._shared] if self._shared else [self._own]

    def _write(self, change: Callable[[DictionaryTable], DictionaryTable]) -> None:
        self._read()  # somebody may have edited the file
        if self._own.unread:
            raise StorageFailed(
                f"The dictionary can't be changed, because it can't be read: {self._own.unread.message}"
            )
        table = change(self._own.table)
        self._own.file.write(table.to_csv())
        self._read()

    def _read(self) -> None:
        changed = [source.read() for source in self._sources()]
        if any(changed):
            self._dictionary = Dictionary([*self.table.entries, *self.shared])

    def _log(self) -> None:
        problems = frozenset(self.problems)
        for problem in sorted(problems - self._logged, key=lambda one: (one.shared, one.line or 0)):
            _LOGGER.warning("%s", problem)
        self._logged = problems


def _check_known(table: DictionaryTable, entry_id: str) -> None:
    if not any(entry.id == entry_id for entry in table.entries):
        raise NotFound("The dictionary has no entry with this id; somebody may have changed it.", param="id")


def _check_new(table: DictionaryTable, entry: Entry) -> None:
    if any(one.id == entry.id for one in table.entries):
        raise InvalidRequest(f"The dictionary has an entry for {quoted(entry.written)} already.", param="written")


def _about(entry: Entry, message: str) -> str:
    return f"The dictionary's expression {quoted(entry.written)}: {message}"


_MAX_FAULTS = 10
