"""The conversation of one Realtime connection: items with text, and which of them are still to be spoken."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from wyoming_qwen3.core.errors import InvalidRequest

from .dialects import Dialect
from .events import EventRefused, Message, fresh_id

MAX_ITEMS = 1000
"""Items kept; beyond these the oldest are forgotten."""


@dataclass
class Item:
    """A message, or an answer that was spoken."""

    id: str
    role: Literal["user", "assistant", "system"]
    content: list[dict[str, str]]
    status: Literal["completed", "incomplete", "in_progress"] = "completed"
    spoken: bool = False
    """Whether it needs no speaking (any more)."""

    @property
    def text(self) -> str:
        """What it says."""
        return "\n".join(part.get("text") or part.get("transcript", "") for part in self.content)

    def told(self) -> dict[str, Any]:
        """As events have it."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": self.content,
        }


class RealtimeConversation:
    """Items in their order."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.id = fresh_id("conv")
        self._items: list[Item] = []

    def create(self, message: Message, after: str | None) -> tuple[Item, str | None]:
        """Add a client's message behind an item, or behind all, or where `after` is "root" before all.

        Returns the item, and the id of the one before it. Raises InvalidRequest.
        """
        if any(item.id == message.id for item in self._items):
            raise InvalidRequest(f"There is an item {message.id!r} already; ids are unique.", param="item.id")
        at = len(self._items)
        if after == "root":
            at = 0
        elif after is not None:
            at = self._items.index(self.find(after, "create", "previous_item_id")) + 1
        kind = self._dialect.written_type if message.role == "assistant" else "input_text"
        content = [{"type": kind, "text": part.text} for part in message.content]
        item = Item(message.id or fresh_id("item"), message.role, content)
        # A system message tells a language model how to answer; nobody wants to hear it.
        item.spoken = message.role == "system"
        return item, self._insert(at, item)

    def add(self, item: Item) -> str | None:
        """Add an item behind all, and return the id of the one before it."""
        return self._insert(len(self._items), item)

    def find(self, item_id: str, verb: str, param: str = "item_id") -> Item:
        """The item to be created after, deleted, retrieved or truncated. Raises EventRefused."""
        for item in self._items:
            if item.id == item_id:
                return item
        raise EventRefused(f"item_{verb}_invalid_item_id", f"There is no item {item_id!r}.", param=param)

    def delete(self, item_id: str) -> None:
        """Forget an item. Raises EventRefused."""
        self._items.remove(self.find(item_id, "delete"))

    def unspoken(self) -> list[Item]:
        """What came since the last response."""
        return [item for item in self._items if not item.spoken]

    def _insert(self, at: int, item: Item) -> str | None:
        before = self._items[at - 1].id if at else None
        self._items.insert(at, item)
        del self._items[:-MAX_ITEMS]
        return before


def joined(items: Iterable[Item]) -> str:
    """Their texts as paragraphs, so that one never runs into the next."""
    return "\n\n".join(text for item in items if (text := item.text.strip()))
