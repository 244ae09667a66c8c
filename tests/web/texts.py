"""The page's texts, as they are in its files."""

import json
from typing import Any, TypeAlias

from tests.web.conftest import ROOT

WEB = ROOT / "wyoming_qwen3" / "web"
LANGUAGES = sorted(file.stem for file in (WEB / "lang").iterdir())

Text: TypeAlias = str | list[str] | dict[str, str]
"""A text, a list of texts, or one for each plural category."""


def table(code: str) -> dict[str, Text]:
    """The texts of a language; a file that names one twice is wrong."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)

    texts: dict[str, Text] = json.loads((WEB / "lang" / f"{code}.json").read_text(), object_pairs_hook=once)
    return texts
