import pytest

from wyoming_qwen3.api.realtime.client_events import Message
from wyoming_qwen3.api.realtime.conversation import MAX_ITEMS, Item, RealtimeConversation, joined
from wyoming_qwen3.core.errors import InvalidRequest


def said(*texts: str, item_id: str | None = None) -> Message:
    content = [{"type": "input_text", "text": text} for text in texts]
    return Message.model_validate({"role": "user", "content": content, "id": item_id})


def test_beyond_the_bound_the_oldest_is_forgotten() -> None:
    conversation = RealtimeConversation()
    for number in range(MAX_ITEMS + 2):
        conversation.create(said("Hi."), f"item {number - 1}" if number else None)[0].id = f"item {number}"
    kept = conversation.unspoken()
    assert (kept[0].id, kept[-1].id, len(kept)) == ("item 2", f"item {MAX_ITEMS + 1}", MAX_ITEMS)


def test_ids_are_unique() -> None:
    conversation = RealtimeConversation()
    conversation.create(said("Hi.", item_id="mine"), None)
    with pytest.raises(InvalidRequest, match="'mine' already"):
        conversation.create(said("Ho.", item_id="mine"), None)


def test_parts_are_lines_and_items_are_paragraphs() -> None:
    conversation = RealtimeConversation()
    items = [conversation.create(message, None)[0] for message in (said("One ", "two."), said(" "), said("Three."))]
    spoken = Item("a", "assistant", [{"type": "output_audio", "transcript": "Four."}])
    assert joined([*items, spoken]) == "One \ntwo.\n\nThree.\n\nFour."


def test_text_of_an_answer_has_the_type_that_an_sdk_expects() -> None:
    """However the client called it."""
    message = Message.model_validate({"role": "assistant", "content": [{"type": "input_text", "text": "Hi."}]})
    assert RealtimeConversation().create(message, None)[0].content == [{"type": "output_text", "text": "Hi."}]
