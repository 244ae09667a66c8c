"""The tables of docs/expressive.md say what is heard."""

import re
from pathlib import Path

import pytest

from tests.text.heard import heard
from wyoming_qwen3.text.delivery import DEFAULT_DELIVERY, Delivery
from wyoming_qwen3.text.markup import Pause

DOCUMENT = (Path(__file__).parents[2] / "docs/expressive.md").read_text()


def rows(heading: str) -> list[tuple[str, str]]:
    """The rows of a table with two columns: a text in backticks, and what is heard of it."""
    table = DOCUMENT.partition(f"| {heading} | Heard |\n|---|---|\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(.*)` \| (.*) \|$", table, re.MULTILINE)


def described(text: str, *, ssml: bool) -> str:
    """What is heard, as the tables say it: each change in brackets, silence in seconds."""
    parts = []
    for item in heard(text, ssml=ssml):
        if isinstance(item, Delivery):
            parts.append(f"({_delivery(item)})")
        else:
            parts.append(f"{item.seconds:g} s" if isinstance(item, Pause) else " ".join(item.split()))
    return " · ".join(parts).replace(") · ", ") ")


def _delivery(delivery: Delivery) -> str:
    speed = f"speed {delivery.speed:g}" if delivery.speed != 1.0 else None
    gain = f"{delivery.gain:+g} dB" if delivery.gain else None
    changes = filter(None, (delivery.voice, delivery.language, delivery.style, speed, gain))
    return "; ".join(changes) if delivery != DEFAULT_DELIVERY else "as before"


@pytest.mark.parametrize(("text", "said"), rows("Text"))
def test_the_table_of_directions(text: str, said: str) -> None:
    assert described(text, ssml=False) == said


@pytest.mark.parametrize(("text", "said"), rows("SSML"))
def test_the_table_of_ssml(text: str, said: str) -> None:
    assert described(text, ssml=True) == said


def test_there_are_tables() -> None:
    assert len(rows("Text")) > 15
    assert len(rows("SSML")) > 15


@pytest.mark.parametrize("start", ["```text\n", "message: >-\n"])
def test_the_examples_direct(start: str) -> None:
    """What people paste has marks that are read, and nothing of them is heard."""
    example = DOCUMENT.partition(start)[2].partition("```")[0]
    items = heard(example)
    assert any(isinstance(item, Delivery) for item in items)
    said = " ".join(item for item in items if isinstance(item, str))
    assert "[pause" not in said
    assert "[voice" not in said
