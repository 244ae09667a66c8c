"""Reasoning, tool calls and control tokens are not heard, in whatever pieces they arrive."""

import pytest

from wyoming_qwen3.text.live import LiveScript
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Script, Segment, SpokenPiece

REASONING = {
    name: (f"{opening}The user, I think. Ok?\n\n- so{closing}\n\nIt is sunny. Warm.", ["It is sunny. Warm."])
    for name, opening, closing in [
        ("think", "<think>\n", "</think>"),
        ("in capitals", "<THINK>", "</Think>"),
        ("thinking", "<thinking>", "</thinking>"),
        ("think ends as thinking", "<think>", "</thinking>"),
        ("reasoning", '<reasoning effort="high">', "</reasoning>"),
        ("thought", "<thought>", "</thought>"),
        ("reflection", "<reflection>", "</reflection >"),
        ("with a namespace", "<ns:think>", "</ns:think>"),
        ("with a namespace that has a dash", "<my-model.x:thinking>", "</my-model.x:thinking>"),
        ("brackets", "[THINK]", "[/THINK]"),
        ("harmony", "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("harmony with a start", "<|start|>assistant<|channel|>analysis<|message|>", "<|end|>"),
        ("harmony without an end", "<|channel|>analysis<|message|>", "<|channel|>final <|message|>"),
        ("harmony's calls", "<|channel|>commentary to=f.x <|constrain|>json<|message|>", "<|call|>"),
        ("harmony's other roles", "<|start|>user<|message|>", "<|end|><|start|>assistant<|message|>"),
        ("half bars", "<|channel>thought\n", "<channel|>"),
        ("tokens", "<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
        ("tokens of another kind", "<|begin_of_thought|>", "<|end_of_thought|>"),
        ("nested", "<thinking>Hm. <reflection>No.</reflection> ", "</thinking>"),
        ("a pause within", "<think>a [pause:1s] b", "</think>"),
        ("code within", "<think>\n```py\n", "</think>"),
        ("no opening tag", "", "</think>"),
        ("no opening tag, with a pause", "One. [pause:1s] Two.", "</think>"),
        ("no opening bracket", "", "[/THINK]"),
        ("no opening tag of the template's", "", "</ns:thinking>"),
        ("tool", "<tool_call>", "</tool_call>"),
        ("tool with a namespace", "<x:tool_call>\n<invoke name='a'>", "</x:tool_call>"),
        ("tool response", "<tool_response>\n", "\n</tool_response>"),
        ("functions", '<function_calls>\n<invoke name="x">', "</invoke>\n</function_calls>"),
        ("invoke", '<invoke name="x"><parameter name="y">', "</parameter></invoke>"),
        ("function", "<function=turn_on>", "</function>"),
        ("tool in brackets", "[TOOL_CALLS] ", "[/TOOL_CALLS]"),
        ("tool in half bars", "<|tool_call>call:x", "<tool_call|>"),
        ("tools in wide bars", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
        ("tools in bars", "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
        ("python", "<|python_tag|>", "<|eom_id|>"),
        ("a call in JSON", '{"name": "turn_on", "arguments": {"room": "a } \\" {", "x": [1', "]}}"),
        ("a list of calls", '[\n {"id": "1", "name": "x", "parameters": {}},\n {"name": "y", "a": "', '"}]'),
        ("a nested call", '{"type": "function", "function": {"name": "a", "arguments": "{', '}"}}'),
    ]
}
CASES = {
    **REASONING,
    **{
        f"{name}, never closed": (text.split("The user")[0] + "The user. It", [])
        for name, (text, _) in REASONING.items()
        if not name.startswith("no ")
    },
    "within a text": ("It is <think>No. Yes.</think> sunny.", ["It is. sunny."]),
    "within sentences": ("It is sunny<think>No. Yes.</think>It is warm.", ["It is sunny. It is warm."]),
    "after a sentence": ("Let me see.\n<tool_call>\n{}\n</tool_call>\nIt is warm.", ["Let me see. It is warm."]),
    "twice": ("<think>a</think>One.\n<think>b</think>\nTwo.", ["One. Two."]),
    "a line begins after it": ("<think>a</think># Title\n<think>b</think>- item", ["Title. item."]),
    "nested in itself": ("<think>a <think>b</think> c</think>Yes.", ["Yes."]),
    "another closing mark": ("<think>a </thought> b</think>Yes.", ["Yes."]),
    "empty": ("<think>\n\n</think>\n\nYes, sir.", ["Yes, sir."]),
    "empty tag": ("<think/>Yes, sir.", ["Yes, sir."]),
    "in a code span": ("Write `<think>` or `</think>` here.", ["Write <think> or </think> here."]),
    "in a code block": ("So:\n```\n<think>\n```\nYes, sir.", ["So: Yes, sir."]),
    "a call and its answer": ('{"name": "x", "arguments": {}}\nIt is on.', ["It is on."]),
    "a call after text": ('I do it.\n{"name": "x", "arguments": {}}', ["I do it."]),
    "no call": ('{"name": "Bob", "age": 3} is it.', ['{"name": "Bob", "age": 3} is it.']),
    "no call in a line": ('He said {"name": "x", "arguments": 1}', ['He said {"name": "x", "arguments": 1}']),
    "no tag": ("I think > you, <thinker> says", ["I think > you, <thinker> says"]),
    "cut": ("It is sunny <thi", ["It is sunny <thi"]),
    "turns": ("<|im_start|>assistant\nIt is on.<|im_end|>", ["It is on."]),
    "turns in other tokens": ("<start_of_turn>model\nIt is on<end_of_turn>\n", ["It is on."]),
    "headers": ("<|start_header_id|>assistant<|end_header_id|>\n\nIt is on.<|eot_id|>", ["It is on."]),
    "the end of a sentence": ("<s>[INST] Is it? [/INST] It is on</s>", ["Is it? It is on"]),
    "other tokens": ("<|begin_of_text|>It is on<|endoftext|><|eot_id|>", ["It is on."]),
    "harmony": (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>It is on.<|return|>",
        ["It is on."],
    ),
}  # fmt: skip


def drain(script: Script | LiveScript) -> list[Segment]:
    taken = []
    while segment := script.take():
        taken.append(segment)
    return taken


def texts(segments: list[Segment]) -> list[str]:
    return [segment.text for segment in segments if isinstance(segment, SpokenPiece)]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(("text", "pieces"), CASES.values(), ids=CASES)
def test_hidden_text_is_not_heard(text: str, pieces: list[str], size: int) -> None:
    script = Script()
    for start in range(0, len(text), size):
        script.add_text(text[start : start + size])
    script.end_text()
    segments = drain(script)
    assert texts(segments) == pieces
    assert len(segments) == len(pieces)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "pieces"), [case for name, case in CASES.items() if not name.startswith("no opening")]
)
def test_live_rows_do_not_say_it_either(text: str, pieces: list[str], size: int) -> None:
    script = LiveScript()
    for start in range(0, len(text), size):
        script.add_text(text[start : start + size])
    script.end_text()
    assert "".join(texts(drain(script))).split() == " ".join(pieces).split()


@pytest.mark.parametrize("text", [text for name, (text, _) in REASONING.items() if not name.startswith("no ")])
def test_a_pause_in_the_text_does_not_end_it(text: str) -> None:
    script = Script()
    heard = []
    for character in text[:-19]:
        script.add_text(character)
        script.flush()
        heard += texts(drain(script))
    assert heard == []
    script.add_text(text[-19:])
    script.end_text()
    assert texts(drain(script)) == ["It is sunny. Warm."]


def test_text_before_and_after_it_is_spoken_at_once() -> None:
    script = Script()
    script.add_text("Let me see.\n<think>")
    assert texts(drain(script)) == ["Let me see."]
    script.add_text("It may be long. " * 100)
    assert drain(script) == []
    script.add_text("</think>It is warm. And so")
    assert texts(drain(script)) == ["It is warm."]


def test_what_was_spoken_before_a_closing_tag_stays_spoken() -> None:
    script = Script()
    script.add_text("The user asks. I think")
    assert texts(drain(script)) == ["The user asks."]
    script.add_text(" so. Or not? No.</think>It is warm.")
    script.end_text()
    assert texts(drain(script)) == ["It is warm."]


def test_live_words_before_a_closing_tag_end_their_stretch() -> None:
    script = LiveScript()
    script.add_text("The user asks. ")
    assert texts(drain(script)) == ["The user asks."]
    script.add_text("So be it.")
    script.add_text("</think>It is warm.")
    script.end_text()
    segments = drain(script)
    assert "".join(texts(segments)) == "It is warm."
    assert segments[0] == Pause(0.0)
