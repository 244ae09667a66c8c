"""/api/dictionary: what is spoken instead of what is written.

Reading many entries, compiling expressions and writing JSON take milliseconds, so all of that is done on threads.
"""

import asyncio
import io
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.body import ONE_FILE, read_form
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.validation import Fields, Query, ignored_headers, parse_body, parse_query
from wyoming_qwen3.api.voices.kept import DeletedAnswer
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import LANGUAGES, MAX_NAME_CHARACTERS, Language, find_language
from wyoming_qwen3.speech.pronunciation import PronunciationDictionary
from wyoming_qwen3.speech.verbalizer import Verbalizer
from wyoming_qwen3.text.dictionary import MAX_CHARACTERS, Entry, MatchKind, make_entry
from wyoming_qwen3.text.dictionary_table import MAX_BYTES, MAX_ENTRIES, MEDIA_TYPE, read_table, table_of
from wyoming_qwen3.text.pieces import SpokenPiece, segments_of

resource = Resource("Dictionary")

MAX_TRIED = 300
"""Maximum number of characters of a text to try."""

_JSON_BYTES = 64 * 1024
_FORM_BYTES = 64 * 1024
_MAX_TOLD = 5


class EntryBody(Fields):
    """An entry: a word, or several, and what is spoken instead."""

    written: str = Field(min_length=1, max_length=MAX_CHARACTERS, description="Words, or a regular expression.")
    spoken: str = Field(
        max_length=MAX_CHARACTERS,
        description="Empty if it is not to be heard. That of an expression may refer to its groups, as in \\1.",
    )
    language: str | None = Field(
        None, max_length=MAX_NAME_CHARACTERS, description="Apply only to text of this language; null to all text."
    )
    match: MatchKind = Field("word", description="`word` for whole words, `regex` for a regular expression.")
    case: bool = Field(False, description="Whether upper and lower case must be as written.")


class DictionaryBody(Fields):
    """All entries."""

    entries: Annotated[list[EntryBody], Field(max_length=MAX_ENTRIES, fail_fast=True)]


class DictionaryEntry(BaseModel):
    """An entry. Its id changes with all its fields but `spoken`."""

    id: str
    written: str
    spoken: str
    language: str | None
    """null if it applies to all text."""

    match: MatchKind
    case: bool
    count: int
    """How often it was applied since the server was started."""

    problem: str | None
    """Why an expression was not applied to a text, in one sentence."""


class DictionaryFault(BaseModel):
    """What can't be used of a file; `line` is null if that concerns all of it."""

    shared: bool
    line: int | None
    message: str


class DictionaryList(BaseModel):
    """The dictionary. `entries` have precedence over the `shared` ones, which can only be changed in their file."""

    entries: list[DictionaryEntry]
    shared: list[DictionaryEntry]
    problems: list[DictionaryFault]


class TryBody(Fields):
    """A text to try the dictionary with."""

    text: str = Field(max_length=MAX_TRIED)
    language: str | None = Field(
        None, max_length=MAX_NAME_CHARACTERS, description="Language of the text; null or Auto detects it."
    )


class Tried(BaseModel):
    """The text as it would be spoken; `applied` has the id of an entry for each time that it was applied."""

    text: str
    language: str | None
    applied: list[str]


class DictionaryImportQuery(Query):
    """What happens to the present entries."""

    mode: Literal["merge", "replace"] = Field(
        "merge", description="`merge` replaces entries for the same words, `replace` all."
    )


@resource.operation(
    "GET", "/api/dictionary", "List the dictionary", answers={200: {"application/json": DictionaryList}}
)
async def get_dictionary(request: web.Request) -> web.StreamResponse:
    """All entries with the number of times that they were applied, and what can't be used of the files."""
    return await _answer(request)


@resource.operation(
    "PUT",
    "/api/dictionary",
    "Replace the dictionary",
    body=DictionaryBody,
    answers={200: {"application/json": DictionaryList}},
    errors=(507,),
)
async def put_dictionary(request: web.Request) -> web.StreamResponse:
    """Replaces all entries except the shared ones, or changes nothing if one of them is wrong."""
    body = await parse_body(request, DictionaryBody, MAX_BYTES)
    entries = await asyncio.to_thread(_entries_of, body.entries)
    await _dictionary(request).replace(entries)
    return await _answer(request, ignored_headers(body, *body.entries))


@resource.operation(
    "POST",
    "/api/dictionary/entries",
    "Add an entry to the dictionary",
    body=EntryBody,
    answers={201: {"application/json": DictionaryEntry}},
    errors=(507,),
)
async def add_dictionary_entry(request: web.Request) -> web.StreamResponse:
    """There must be no other entry for the same words with the same language, match and case."""
    body = await parse_body(request, EntryBody, _JSON_BYTES)
    entry = await asyncio.to_thread(_entry_of, body)
    await _dictionary(request).add(entry)
    return _entry_answer(request, entry, body, status=201)


@resource.operation(
    "PUT",
    "/api/dictionary/entries/{id}",
    "Change an entry of the dictionary",
    body=EntryBody,
    answers={200: {"application/json": DictionaryEntry}},
    errors=(404, 507),
)
async def change_dictionary_entry(request: web.Request) -> web.StreamResponse:
    """Replaces the entry; the answer has its new id."""
    body = await parse_body(request, EntryBody, _JSON_BYTES)
    entry = await asyncio.to_thread(_entry_of, body)
    await _dictionary(request).update(request.match_info["id"], entry)
    return _entry_answer(request, entry, body)


@resource.operation(
    "DELETE",
    "/api/dictionary/entries/{id}",
    "Delete an entry of the dictionary",
    answers={200: {"application/json": DeletedAnswer}},
    errors=(404, 507),
)
async def delete_dictionary_entry(request: web.Request) -> web.StreamResponse:
    """Deletes an entry of the server's own file."""
    entry_id = request.match_info["id"]
    await _dictionary(request).remove(entry_id)
    return web.json_response(text=DeletedAnswer(id=entry_id).model_dump_json())


@resource.operation(
    "POST",
    "/api/dictionary/try",
    "Try the dictionary",
    body=TryBody,
    answers={200: {"application/json": Tried}},
)
async def try_dictionary(request: web.Request) -> web.StreamResponse:
    """What is spoken of a text, by the dictionary and then with numbers and units in words. Nothing is counted."""
    body = await parse_body(request, TryBody, _JSON_BYTES)
    language = find_language(body.language) if body.language else None
    verbalizer = request.app[SERVICES].synthesizer.verbalizer
    language = language or await verbalizer.language_of(body.text)
    tried = await asyncio.to_thread(_tried, _dictionary(request), verbalizer, body.text, language)
    return web.json_response(text=tried.model_dump_json(), headers=ignored_headers(body))


@resource.operation("GET", "/api/dictionary/export", "Export the dictionary", answers={200: {MEDIA_TYPE: None}})
async def export_dictionary(request: web.Request) -> web.StreamResponse:
    """The server's own entries as CSV, in UTF-8 with a byte order mark, without which Excel reads another charset."""
    dictionary = _dictionary(request)
    data = await asyncio.to_thread(lambda: b"\xef\xbb\xbf" + table_of(dictionary.table.entries).to_csv())
    headers = {"Content-Disposition": 'attachment; filename="dictionary.csv"'}
    return web.Response(body=io.BytesIO(data), content_type=MEDIA_TYPE, charset="utf-8", headers=headers)


@resource.operation(
    "POST",
    "/api/dictionary/import",
    "Import a dictionary",
    form=ONE_FILE,
    query=DictionaryImportQuery,
    answers={200: {"application/json": DictionaryList}},
    errors=(507,),
)
async def import_dictionary(request: web.Request) -> web.StreamResponse:
    """Takes CSV as it is exported, separated by commas, semicolons or tabs. If a line is wrong, nothing is imported."""
    query = parse_query(request, DictionaryImportQuery)
    form = await read_form(request, MAX_BYTES + _FORM_BYTES, ONE_FILE)
    table = await asyncio.to_thread(read_table, form.files["file"][0])
    table.check()
    dictionary = _dictionary(request)
    await (dictionary.replace if query.mode == "replace" else dictionary.merge)(table.entries)
    return await _answer(request)


def _dictionary(request: web.Request) -> PronunciationDictionary:
    return request.app[SERVICES].store.dictionary


def _entry_of(body: EntryBody) -> Entry:
    return make_entry(body.written, body.spoken, body.language, body.match, case=body.case)


def _entries_of(bodies: Sequence[EntryBody]) -> list[Entry]:
    """Return the checked entries. Raises InvalidRequest with a sentence for each wrong one, at most `_MAX_TOLD`."""
    entries, wrong = [], []
    for number, body in enumerate(bodies):
        try:
            entries.append(_entry_of(body))
        except InvalidRequest as error:
            wrong.append(f"entries.{number}: {error}")
    if wrong:
        raise InvalidRequest(" ".join(wrong[:_MAX_TOLD]), param="entries")
    return entries


def _tried(dictionary: PronunciationDictionary, verbalizer: Verbalizer, text: str, language: Language | None) -> Tried:
    spoken = (segment.text for segment in segments_of(text) if isinstance(segment, SpokenPiece))
    pieces = [dictionary.try_out(piece, language) for piece in spoken]
    return Tried(
        text=" ".join(verbalizer.write_out(piece.text, language) for piece in pieces),
        language=language.label if language else None,
        applied=[entry_id for piece in pieces for entry_id in piece.applied],
    )


async def _answer(request: web.Request, headers: dict[str, str] | None = None) -> web.Response:
    data = await asyncio.to_thread(lambda: _list(_dictionary(request)).model_dump_json().encode())
    return web.Response(body=io.BytesIO(data), content_type="application/json", charset="utf-8", headers=headers)


def _entry_answer(request: web.Request, entry: Entry, body: EntryBody, status: int = 200) -> web.Response:
    (told,) = _told([entry], _dictionary(request))
    return web.json_response(text=told.model_dump_json(), status=status, headers=ignored_headers(body))


def _list(dictionary: PronunciationDictionary) -> DictionaryList:
    return DictionaryList(
        entries=_told(dictionary.table.entries, dictionary),
        shared=_told(dictionary.shared, dictionary),
        problems=[DictionaryFault.model_validate(vars(problem)) for problem in dictionary.problems],
    )


def _told(entries: Iterable[Entry], dictionary: PronunciationDictionary) -> list[DictionaryEntry]:
    return [
        DictionaryEntry(
            id=entry.id,
            written=entry.written,
            spoken=entry.spoken,
            language=_LANGUAGE_NAMES[entry.language] if entry.language else None,
            match=entry.match,
            case=entry.case,
            count=dictionary.counts.get(entry.id, 0),
            problem=dictionary.late.get(entry.id),
        )
        for entry in entries
    ]


_LANGUAGE_NAMES = {language.code: language.label for language in LANGUAGES}
