"""Texts with pauses in them, and what a reader makes of them."""

from wyoming_qwen3.text.markup import Pause, PauseReader, SsmlReader


def read(*pieces: str, ssml: bool = False) -> list[str | Pause]:
    """Stretches, with those of text that follow each other joined: where a reader parts them means nothing."""
    reader = SsmlReader() if ssml else PauseReader()
    joined: list[str | Pause] = []
    for stretch in [*(stretch for piece in pieces for stretch in reader.feed(piece)), *reader.finish()]:
        last = joined[-1] if joined else None
        if isinstance(last, str) and isinstance(stretch, str):
            joined[-1] = last + stretch
        else:
            joined.append(stretch)
    return joined


PAUSES = {
    "seconds": ("a [pause:0.5s] b", ["a ", Pause(0.5), " b"]),
    "milliseconds": ("a[pause:500ms]b", ["a", Pause(0.5), "b"]),
    "space": ("[pause 1s]", [Pause(1.0)]),
    "case and spaces": ("[ PAUSE : 2 S ]", [Pause(2.0)]),
    "decimal comma": ("[pause=1,5s]", [Pause(1.5)]),
    "capped": ("[pause:99s] [pause:99999ms]", [Pause(10.0), " ", Pause(10.0)]),
    "none": ("a[pause:0s]b", ["ab"]),
    "malformed": ("[pause:abc] [pause:] [pause:-1s] [pause:1]", ["[pause:abc] [pause:] [pause:-1s] [pause:1]"]),
    "cut": ("a [pause:1", ["a [pause:1"]),
    "break": ('a<break time="500ms"/>b', ["a", Pause(0.5), "b"]),
    "break without a slash": ("<BREAK time='1.5s'>", [Pause(1.5)]),
    "other tags stay": ("<b>x</b> a < b &amp; [c]", ["<b>x</b> a < b &amp; [c]"]),
}
