"""Recognises what a language model writes but nobody should hear: reasoning, tool calls, control tokens, code blocks.

What is hidden ends at its own closing mark, and nowhere else: not at a pause in the text, and not at a closing mark of
another kind. Without one, the rest of the text is hidden. None of it is buffered: hidden text is dropped as it arrives.
A closing mark of reasoning without an opening one means that the model's template wrote the opening one, so that all
text before it was reasoning. Of a text with harmony's channels, only messages in the channel `final`, or in none, are
heard.

Does NOT know what is spoken of the other text.
"""

from typing import Protocol

import regex


class Hidden(Protocol):
    """Text that is not heard."""

    def skip(self, text: str, at: int, *, more: bool) -> tuple[int, bool]:
        """Return how far the text from `at` is hidden, and whether what is hidden ends there.

        If neither is the case and the position is not the end of the text, more text is needed.
        """


class CodeBlock:
    """The lines up to one that consists of the fence."""

    def __init__(self, fence: str) -> None:
        self._closing = regex.compile(rf"[ \t>]{{0,40}}+{fence}+[ \t]{{0,40}}+\n")
        self._line_start = True

    def skip(self, text: str, at: int, *, more: bool) -> tuple[int, bool]:
        """Skip lines; see Hidden."""
        while at < len(text):
            if self._line_start and (closing := self._closing.match(text, pos=at, partial=more)):
                return (at, False) if closing.partial else (closing.end(), True)
            newline = text.find("\n", at)
            self._line_start = newline >= 0
            at = newline + 1 if self._line_start else len(text)
        return at, False


class Enclosed:
    """Everything up to a closing mark, and the mark."""

    def __init__(self, closing: str) -> None:
        self._closing = regex.compile(closing)

    def skip(self, text: str, at: int, *, more: bool) -> tuple[int, bool]:
        """Skip to the closing mark; see Hidden."""
        closing = self._closing.search(text, pos=at, partial=more)
        if closing is None:
            return len(text), False
        return (closing.start(), False) if closing.partial else (closing.end(), True)


class JsonValue:
    """One JSON object or array."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False

    def skip(self, text: str, at: int, *, more: bool) -> tuple[int, bool]:
        """Skip to the bracket that closes the first one; see Hidden."""
        while mark := _JSON_MARK.search(text, pos=at):
            if mark[0] == "\\" and more:
                return mark.start(), False
            at = mark.end()
            if mark[0] == '"':
                self._in_string = not self._in_string
            elif not self._in_string and mark[0] in "{}[]":
                self._depth += 1 if mark[0] in "{[" else -1
                if self._depth <= 0:
                    return at, True
        return len(text), False


_JSON_MARK = regex.compile(r"""[{}\[\]"]|\\.?""", regex.DOTALL)

# As in markdown_units.py, each pattern is bounded, possessive and ends in a definite character or a lookahead.
_NAMESPACE = r"(?:[A-Za-z][\w.-]{0,20}+:|[|｜]DSML[|｜])?"
_REASONING = r"think(?:ing)?|thoughts?|reasoning|reflection"
_TOOLS = r"tool_?(?:calls?|responses?|results?|use|code|outputs?)|function_?(?:calls?|results?|responses?)|invoke"
_STEM = r"think(?:ing)?|thought|action|tool(?:[_▁](?:calls?|outputs?|responses?))?(?:[_▁]section)?"
_BAR = "[|｜]"
_FIELD = r"[^<>\n]{0,100}+"
_WITH_ROLE = "im_start|turn|start_header_id"

MARKS = rf"""(?x:
    (?P<closed></{_NAMESPACE}(?i:{_REASONING})\s{{0,9}}>|\[/THINK\]|<channel\|>
      |<{_BAR}(?i:end[_▁](?:of[_▁])?(?:thinking|thought))(?:[_▁]?){_BAR}>)
    |</?{_NAMESPACE}(?i:{_REASONING}|{_TOOLS})\s{{0,9}}/>|</{_NAMESPACE}(?i:{_TOOLS}|function)\s{{0,9}}>
    |<{_NAMESPACE}(?i:(?P<tag>{_REASONING}|{_TOOLS}|function(?==)))(?:[\s=][^<>]{{0,300}}+)?>
    |\[(?P<bracket>THINK|TOOL_CALLS|TOOL_RESULTS)\]
    |<\|(?P<half>channel|tool_call|tool_response|tool)>
    |<{_BAR}(?i:(?:start|begin)[_▁](?:of[_▁])?(?P<stem>{_STEM})|(?P<stem>{_STEM})[_▁](?:start|begin)){_BAR}>
    |(?P<python><\|python_tag\|>)
    |(?P<header><\|(?:start|channel)\|>{_FIELD}(?:<\|(?:channel|constrain)\|>{_FIELD}){{0,3}}+<\|message\|>)
    |<\|(?:start|channel)\|>[a-z]{{0,12}}+(?={_FIELD}(?:[^<]|<[^|]|<\|[^cm]))
    |(?:<\|(?:{_WITH_ROLE})\|?>|<start_of_turn>)[a-z]{{0,12}}+(?=[\s\S])
    |<{_BAR}(?!(?:start|channel|{_WITH_ROLE})\|)[\w▁]{{1,40}}+{_BAR}>|<(?:turn\||end_of_turn|eos|bos|pad|unk)>
    |\[/?INST\]|<</?SYS>>
)"""
"""Matches a mark of what is hidden. Each is the end of a sentence."""

_MESSAGE_END = r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)"
_CHANNEL = regex.compile(r"<\|channel\|>\s*(\w*)")
_ASSISTANT = regex.compile(r"<\|start\|>\s*assistant\b")


def hidden_after(mark: regex.Match[str]) -> Hidden | None:
    """Return what a match of MARKS begins to hide; None if it is no more than a mark."""
    found = mark.groupdict()
    if tag := found["tag"]:
        same = {"thinking": "think(?:ing)?", "think": "think(?:ing)?"}.get(tag.lower(), tag)
        return Enclosed(rf"</{_NAMESPACE}(?i:{same})\s{{0,9}}>")
    if bracket := found["bracket"]:
        return Enclosed(rf"\[/{bracket}\]")
    if half := found["half"]:
        return Enclosed(rf"<{half}\|>")
    if stem := found["stem"]:
        return Enclosed(rf"<{_BAR}(?i:end[_▁](?:of[_▁])?{stem}|{stem}[_▁]end){_BAR}>")
    if found["python"]:
        return Enclosed(r"<\|(?:eom_id|eot_id)\|>")
    if (header := found["header"]) and not _is_final(header):
        return Enclosed(_MESSAGE_END)
    return None


def _is_final(header: str) -> bool:
    """Return whether a message with this header of harmony is heard."""
    if channel := _CHANNEL.search(header):
        return bool(channel[1] == "final")
    return _ASSISTANT.match(header) is not None


_PAIR = r'"(?:id|type|name|function|tool|tool_name|action)"\s{0,9}+:\s{0,9}+"[^"\n]{0,80}+"\s{0,9}+,\s{0,40}+'
TOOL_CALL = regex.compile(
    r"(?:\[\s{0,40}+)?\{\s{0,40}+"
    r'(?:"tool_calls?"\s{0,9}+:'
    r'|(?:"function"\s{0,9}+:\s{0,9}+\{\s{0,40}+)?'
    rf'(?:{_PAIR}){{1,4}}+(?:"function"\s{{0,9}}+:\s{{0,9}}+\{{\s{{0,40}}+(?:{_PAIR}){{1,2}}+)?'
    r'"(?:arguments|parameters|args)"\s{0,9}+:)'
)
"""Matches the start of a line that is a tool call in JSON, or a list of them; a JsonValue hides it."""
