"""What a text directs: its clean text, with the pauses in it, and a Delivery where another one begins."""

from collections.abc import Iterable

from wyoming_qwen3.text.delivery import Delivery
from wyoming_qwen3.text.markup import Pause, Retraction
from wyoming_qwen3.text.text_reader import TextItem, TextReader

Heard = list[str | Pause | Delivery]

PAUSES: dict[str, tuple[str, Heard]] = {
    "seconds": ("a [pause:0.5s] b", ["a", Pause(0.5), "b"]),
    "milliseconds": ("a[pause:500ms]b", ["a", Pause(0.5), "b"]),
    "space": ("[pause 1s]", [Pause(1.0)]),
    "case and spaces": ("[ PAUSE : 2 S ]", [Pause(2.0)]),
    "units in words": ("[pause: 2 seconds] [pause: 300 msec]", [Pause(2.0), Pause(0.3)]),
    "decimal comma": ("[pause=1,5s]", [Pause(1.5)]),
    "no unit": ("[pause:500] [pause:1.5] [pause: 20] [pause:3]", [Pause(0.5), Pause(1.5), Pause(0.02), Pause(3.0)]),
    "no number": ("a [pause] b", ["a", Pause(0.5), "b"]),
    "lengths": ("[short pause] [medium pause] [long pause] [pauses]", [Pause(s) for s in (0.25, 0.5, 1.0, 0.5)]),
    "capped": ("[pause:99s] [pause:99999ms]", [Pause(10.0), Pause(10.0)]),
    "none": ("a[pause:0s]b", ["ab"]),
    "malformed": ("[pause:abc] [pause:] [pause:-1s]", ["[pause:abc] [pause:] [pause:-1s]"]),
    "cut": ("a [pause:1", ["a [pause:1"]),
    "break": ('a<break time="500ms"/>b', ["a", Pause(0.5), "b"]),
    "break without a slash": ("<BREAK time='1.5s'>", [Pause(1.5)]),
    "in an item": ("- Turn on [pause:1s] the light\n- Done", ["Turn on", Pause(1.0), "the light.\n\nDone."]),
    "after an item": ("- Two eggs\n[pause:1s]\n- Milk", ["Two eggs.", Pause(1.0), "Milk."]),
    "before a date": ("Am [pause:1s] 3. Mai - ja", ["Am", Pause(1.0), "3. Mai - ja"]),
    "before a full stop": (
        "I wait [pause:1s]. Yes, [pause:1s] ... ok",
        ["I wait", Pause(1.0), "Yes,", Pause(1.0), "... ok"],
    ),
    "in code": ("Write `[pause:1s]`.\n```\n[pause:1s]\n```\nOk", ["Write [pause:1s].\n\nOk"]),
}


def heard(text: str, size: int = 0, *, ssml: bool = False) -> Heard:
    """What is heard of a text that arrives in parts of `size` characters, or at once; texts without outer spaces."""
    reader = TextReader(ssml=ssml)
    joined: list[TextItem] = []
    for start in range(0, len(text), size or max(len(text), 1)):
        _join(joined, reader.feed(text[start : start + (size or len(text))]))
    _join(joined, reader.finish())
    stripped = [item.strip() if isinstance(item, str) else item for item in joined]
    return [item for item in stripped if item and not isinstance(item, Retraction)]


def styled(style: str | None) -> Delivery:
    """A delivery with nothing but a style."""
    return Delivery(style=style)


def _join(joined: list[TextItem], items: Iterable[TextItem]) -> None:
    for item in items:
        last = joined[-1] if joined else None
        if isinstance(item, Retraction):
            joined.clear()
        elif isinstance(item, str) and isinstance(last, str):
            joined[-1] = last + item
        else:
            joined.append(item)


def warned(text: str, size: int = 0) -> tuple[str, ...]:
    """The warnings for a text of SSML."""
    reader = TextReader(ssml=True)
    for start in range(0, len(text), size or max(len(text), 1)):
        list(reader.feed(text[start : start + (size or len(text))]))
    list(reader.finish())
    return reader.warnings
