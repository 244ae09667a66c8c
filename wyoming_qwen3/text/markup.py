"""Reads pauses and SSML in text.

A reader takes text in any split and returns stretches of text and the pauses between them. Tags are interpreted as in
W3C SSML 1.1 (https://www.w3.org/TR/speech-synthesis11/) if they can be followed, else dropped. Nothing is an error:
malformed markup is text. Does NOT know markdown or sentences.
"""

import html
from dataclasses import dataclass
from typing import TypeAlias

import regex

MAX_PAUSE = 10.0
"""Longest pause in seconds; longer ones are cut to this."""


@dataclass(frozen=True)
class Pause:
    """Silence of at most MAX_PAUSE seconds; 0 if live text only ends a stretch of speech."""

    seconds: float


Stretch: TypeAlias = str | Pause


class PauseReader:
    """Reads `[pause:0.5s]`, `[pause 500ms]` and `<break time="1s"/>` out of text that is not SSML."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> list[Stretch]:
        """Add text and return what no later text can change; a mark that may be incomplete is held back."""
        return self._read(text, more=True)

    def finish(self) -> list[Stretch]:
        """End the text and return the rest; an incomplete mark is text."""
        return self._read("", more=False)

    def _read(self, text: str, *, more: bool) -> list[Stretch]:
        self._held += text
        stretches, self._held = _read(self._held, _MARKS, more=more)
        return stretches


class SsmlReader(PauseReader):
    """Reads SSML: breaks, `<sub>`, CDATA and entities; `<p>` and `<s>` become empty lines; other tags are dropped."""

    def _read(self, text: str, *, more: bool) -> list[Stretch]:
        self._held += text
        stretches, self._held = _read(self._held, _SSML, more=more)
        return stretches


_BREAK = r"(?i:<break(?P<break>\s[^<>]{0,200}+|/)?>)"
_MARK = r"(?i:\[\s?pause\s?[:=\s]\s?(?P<pause>(?:\d{1,9}+(?:[.,]\d{1,6}+)?|[.,]\d{1,6}+)\s?m?s)\s?\])"
_QUOTED = r"""(?:[^<>"']|"[^"<]{0,300}+"|'[^'<]{0,300}+')"""

# Each pattern is bounded and ends in a definite character, so that a partial match means: wait for more text.
# Repetitions are possessive, since a lazy one before a literal would wait for that literal without end.
_MARKS = (regex.compile(_MARK), regex.compile(_BREAK))
_SSML = (
    *_MARKS,
    regex.compile(
        r"""(?i:<sub\s{1,9}+alias\s?=\s?(?:"(?P<alias>[^<>"]{0,300}+)"|'(?P<alias>[^<>']{0,300}+)')\s?>"""
        r"[^<]{0,300}+</sub\s?>)"
    ),
    regex.compile(r"<!--(?:[^-]{1,20}+|-(?!->)){0,60}+-->"),
    regex.compile(r"<!\[CDATA\[(?P<cdata>(?:[^\]]{1,50}+|\](?!\]>)){0,60}+)\]\]>"),
    regex.compile(r"<!\[CDATA\["),
    regex.compile(r"<[?!][A-Za-z][^<>]{0,500}+>"),
    regex.compile(rf"</?(?P<tag>[A-Za-z][\w:.-]{{0,40}}+)(?:[\s/]{_QUOTED}{{0,500}}+)?>"),
    regex.compile(r"(?P<entity>&(?:\#\d{1,7}+|\#[xX][0-9A-Fa-f]{1,6}+|[A-Za-z]\w{1,30}+);)"),
)
_OPENER = regex.compile(r"[\[<&]")
_SPACE = regex.compile(r"\s+")

_TIME = regex.compile(r"(?P<number>\d*[.,]?\d+)\s*(?P<unit>ms|s)", regex.IGNORECASE)
_TIME_ATTRIBUTE = regex.compile(r"""\btime\s*=\s*["']?\s*\+?(?P<time>[\d.]+\s*m?s)\s*["'/]?""", regex.IGNORECASE)
_STRENGTH_ATTRIBUTE = regex.compile(r"""\bstrength\s*=\s*["']?\s*(?P<strength>[a-z-]+)""", regex.IGNORECASE)
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 1.0, "x-strong": 1.5}


def _read(text: str, patterns: tuple[regex.Pattern[str], ...], *, more: bool) -> tuple[list[Stretch], str]:
    """Return the stretches of `text`, and the end of it that must wait for more text."""
    stretches: list[Stretch] = []
    said: list[str] = []
    ssml = patterns is _SSML
    at, end = 0, len(text)
    while at < len(text):
        opener = _OPENER.search(text, pos=at)
        if opener is None:
            said.append(_plain(text[at:], ssml=ssml))
            break
        said.append(_plain(text[at : opener.start()], ssml=ssml))
        at = opener.start()
        found = _first_match(patterns, text, at, more=more)
        if found is None:
            said.append(text[at])
            at += 1
        elif found.partial:
            end = at
            break
        else:
            at = found.end()
            meaning = _meaning(found.groupdict())
            if isinstance(meaning, Pause):
                stretches += ["".join(said), meaning]
                said = []
            else:
                said.append(meaning)
    stretches.append("".join(said))
    return [stretch for stretch in stretches if stretch], text[end:]


def _first_match(
    patterns: tuple[regex.Pattern[str], ...], text: str, at: int, *, more: bool
) -> regex.Match[str] | None:
    for pattern in patterns:
        if found := pattern.match(text, pos=at, partial=more):
            return found
    return None


def _plain(text: str, *, ssml: bool) -> str:
    """Return plain text; in SSML each run of whitespace becomes a space, because as in XML it means no more."""
    return str(_SPACE.sub(" ", text)) if ssml else text


def _meaning(found: dict[str, str | None]) -> Stretch:
    """Return the text or pause that a mark or tag stands for, by the groups that its pattern found."""
    if "pause" in found:
        return _pause(_seconds(found["pause"] or ""))
    if "break" in found:
        return _pause(_break_seconds(found["break"] or ""))
    if "tag" in found:
        return "\n\n" if (found["tag"] or "").lower() in ("p", "s", "paragraph", "sentence") else ""
    coded = found.get("alias") or found.get("entity") or ""
    return str(_SPACE.sub(" ", html.unescape(coded) or found.get("cdata") or ""))


def _pause(seconds: float) -> Stretch:
    return Pause(min(seconds, MAX_PAUSE)) if seconds > 0 else ""


def _break_seconds(attributes: str) -> float:
    """Return the seconds of a break: by its time, else its strength, else medium (SSML 1.1, section 3.2.3)."""
    if time := _TIME_ATTRIBUTE.search(attributes):
        return _seconds(time["time"])
    strength = _STRENGTH_ATTRIBUTE.search(attributes)
    return _STRENGTHS.get(strength["strength"].lower() if strength else "medium", _STRENGTHS["medium"])


def _seconds(time: str) -> float:
    found = _TIME.fullmatch(time)
    if found is None:
        return 0.0
    return float(found["number"].replace(",", ".")) / (1000 if found["unit"].lower() == "ms" else 1)
