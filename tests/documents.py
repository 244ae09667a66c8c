"""What the documents tell people to paste: fenced blocks, and the commands in them."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = tuple(
    path.relative_to(ROOT).as_posix()
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
    if path.name != "CHANGELOG.md"
)

_NEEDS = re.compile(r"\bneeds (Qwen3|the 1\.7B|the internet)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `language` is "" if it has none. The document says before its first block what all need."""

    document: str
    language: str
    text: str
    needs: frozenset[str]


@dataclass(frozen=True)
class Command:
    """A command of a shell, perhaps of several lines."""

    document: str
    text: str
    needs: frozenset[str]
    """Without what it fails, as the document says: Qwen3, the 1.7B, the internet."""

    @property
    def files(self) -> list[str]:
        """Names of the files that it writes."""
        return re.findall(r"(?:-o|-D|\btee) ([\w.-]+\.\w+)", self.text)


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a document in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    needs = _needs(text.partition("\n```")[0])
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(document, language, code, needs) for language, code in found]


def commands(document: str) -> list[Command]:
    """Return the commands of a document's blocks for a shell, in order."""
    return [one for block in blocks(document) if block.language == "sh" for one in _split(block)]


def inline_commands(document: str) -> list[str]:
    """Return the commands that stand within sentences."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [one for one in re.findall(r"`([^`\n]+)`", text) if _PROGRAM.match(one)]


_PROGRAM = re.compile(r"(\.venv/\S+|qwen3/bin/\S+|script/\w+|apt|curl|docker|pipx?|python3?|sudo|wyoming-qwen3) ")


def _split(block: Block) -> Iterator[Command]:
    """Yield the commands of a block. What a comment in its first line says holds for all, else for the next command."""
    needs = block.needs | _needs(block.text.partition("\n")[0] if block.text.startswith("#") else "")
    lines: list[str] = []
    for line in block.text.splitlines():
        lines.append(line)
        text = "\n".join(lines)
        command = "\n".join(one for one in lines if one and not one.startswith("#"))
        if command and _is_complete(text):
            yield Command(block.document, command, needs | _needs(text))
            lines = []
    assert not any(line and not line.startswith("#") for line in lines), f"{block.document} ends within {lines[0]}"


def _needs(text: str) -> frozenset[str]:
    return frozenset(_NEEDS.findall(text))


def _is_complete(text: str) -> bool:
    checked = subprocess.run(["bash", "-n"], input=text, text=True, check=False, capture_output=True)
    return checked.returncode == 0 and not text.endswith("\\")
