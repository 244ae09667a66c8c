"""The conversation of one Realtime connection: its items, and which of them are still to be spoken."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from wyoming_qwen3.core.errors import InvalidRequest

from .client_events import EventRefused, Message, fresh_id

MAX_ITEMS = 1000
"""Maximum number of items that are kept; beyond it the oldest are dropped."""


@dataclass
class Item:
    """A message of the client, or an answer that was spoken."""

    id: str
    role: Literal["user", "assistant", "system"]
    content: list[dict[str, str]]
    status: Literal["completed", "incomplete", "in_progress"] = "completed"
    spoken: bool = False
    """Whether it has been spoken or is not to be spoken."""

    @property
    def text(self) -> str:
        """The texts of all parts, joined by line breaks."""
        return "\n".join(part.get("text") or part.get("transcript", "") for part in self.content)

    def to_json(self) -> dict[str, Any]:
        """Return the item as it appears in events."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": self.content,
        }


class RealtimeConversation:
    """The items of one connection, in order."""

    def __init__(self) -> None:
        self.id = fresh_id("conv")
        self._items: list[Item] = []

    def create(self, message: Message, after: str | None) -> tuple[Item, str | None]:
        """Insert a client's message after the item `after`, at the end (None), or at the beginning ("root").

        Return the item, and the id of the one before it. Raises InvalidRequest if the message's id is taken, and
        EventRefused if there is no item `after`.
        """
        if any(item.id == message.id for item in self._items):
            raise InvalidRequest(f"There is an item {message.id!r} already; ids are unique.", param="item.id")
        at = len(self._items)
        if after == "root":
            at = 0
        elif after is not None:
            at = self._items.index(self.find(after, "create", "previous_item_id")) + 1
        kind = "output_text" if message.role == "assistant" else "input_text"
        content = [{"type": kind, "text": part.text} for part in message.content]
        item = Item(message.id or fresh_id("item"), message.role, content)
        # A system message tells a language model how to answer; it is not meant to be heard.
        item.spoken = message.role == "system"
        return item, self._insert(at, item)

    def add(self, item: Item) -> str | None:
        """Append an item, and return the id of the one before it."""
        return self._insert(len(self._items), item)

    def find(self, item_id: str, verb: str, param: str = "item_id") -> Item:
        """Return an item. Raises EventRefused, with the code that OpenAI's API has for `verb`, if there is none."""
        for item in self._items:
            if item.id == item_id:
                return item
        raise EventRefused(f"item_{verb}_invalid_item_id", f"There is no item {item_id!r}.", param=param)

    def delete(self, item_id: str) -> None:
        """Remove an item. Raises EventRefused if there is none."""
        self._items.remove(self.find(item_id, "delete"))

    def unspoken(self) -> list[Item]:
        """Return the items that came since the last response."""
        return [item for item in self._items if not item.spoken]

    def _insert(self, at: int, item: Item) -> str | None:
        before = self._items[at - 1].id if at else None
        self._items.insert(at, item)
        del self._items[:-MAX_ITEMS]
        return before


def joined(items: Iterable[Item]) -> str:
    """Join the texts of items as paragraphs, so that no sentence runs into the next item."""
    return "\n\n".join(text for item in items if (text := item.text.strip()))
