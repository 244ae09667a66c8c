"""Recognises stage directions, which are not spoken.

A word or phrase is one if it is in a list: `*sighs*`, `(laughs softly)`, `（笑）`. Several words in single asterisks or
underscores are one by their place and form, in a paragraph:

- They stand between sentences: before them the text, a line or a sentence begins, and after them the line ends or a
  capital letter, a quotation mark or a letter of a script without capitals follows.
- They begin in lower case, as in `*she smiles and nods*`; or with an English verb in the third person, perhaps after an
  adverb, or with a participle, and do not end like a sentence, as in `*Slowly opens the door*`; or with he or she and
  such a verb.
- They contain no colon, and are not the whole text.

All else is emphasis: `that is *really very* good`, `*Important note*: ...`, `*The door is open.* Close it.`
"""

import regex

_ACTS = r"""
    laugh(?:s|ing)|chuckl(?:es|ing)|giggl(?:es|ing)|snickers|cackles|sigh(?:s|ing)|gasp(?:s|ing)|whisper(?:s|ing)
    |cough(?:s|ing)|yawn(?:s|ing)|sob(?:s|bing)|sniff(?:s|les|ing)|groan(?:s|ing)|moan(?:s|ing)|grunts|gulps
    |humm?(?:s|ing)|smil(?:es|ing)|grin(?:s|ning)|smirk(?:s|ing)|wink(?:s|ing)|nod(?:s|ding)|shrug(?:s|ging)|blushes
    |frowns|scoffs|snorts|mutters|mumbles|exhales|inhales|claps|clear(?:s|ing)\s(?:\p{L}{2,5}\s)?throat
    |takes\sa(?:\s\p{L}{2,5})?\sbreath|rolls\s(?:\p{L}{2,5}\s)?eyes|tilts\s(?:\p{L}{2,5}\s)?head
    |raises\s(?:\p{L}{1,5}\s)?eyebrows?|pauses|lacht|seufzt|flüstert|kichert|lächelt|räuspert\ssich|hustet|gähnt|nickt
    |zwinkert|soupire|chuchote|ricane|sourit|tousse|bâille|suspira|susurra|sonríe|sospira|sussurra|sorride|sorri
    |смеётся|смеется|вздыхает|шепчет|улыбается|хихикает|кашляет
"""
_SOUNDS = r"""
    laugh|laughter|chuckle|giggle|sigh|gasp|whisper|cough|yawn|smile|grin|wink|nod|shrug|applause|pause|beat|silence
    |deep\sbreath|lachen|seufzer|rires?|soupir|risas?|risate|risos?|смех|вздох
    |轻?笑|大笑|微笑|笑声|叹气|叹息|咳嗽|低语|笑い|ため息|咳払い|웃음|한숨
"""
STAGE_DIRECTION = regex.compile(
    rf"""(?xi)(?:(?<![\p{{L}}\p{{N}}*_])[*_]|[(\[（【])
    (?:(?:\p{{L}}{{2,20}}+(?<=ly)\s)?(?:{_ACTS})(?:,?\s[\p{{L}}'’-]{{1,20}}+){{0,4}}+|{_SOUNDS})
    [.…!]{{0,3}}+[*_)\]）】]"""
)

# As in markdown_units.py, the patterns are bounded, possessive and end in a definite character or a lookahead.
_VERB = r"""(?i:(?!(?:always|sometimes|perhaps|besides|thanks|does)\b)\p{L}{3,20}+)(?<=s)(?<!ss|us|is)
    (?=\s(?!(?:is|are|was|were|has|have|do|will|can)\b))"""
_PARTICIPLE = r"""(?!(?:No|Some|Any|Every)thing|Morning|Evening|During|According|Regarding|Concerning|Including|Meaning)
    \p{Lu}\p{Ll}{3,20}+(?<=ing)\s(?=\p{Ll})"""
_INNER = r"[^*_\n:：]{3,200}+(?<!\s)"


def _between(mark: str) -> str:
    return rf"""{mark}(?:
        (?=\p{{Ll}}[^\s*_]{{0,30}}+\s){_INNER}
        |(?=S?[Hh]e\s{_VERB}){_INNER}
        |(?=\p{{Lu}})(?=(?:\p{{L}}{{2,20}}+(?<=ly)\s)?{_VERB}|{_PARTICIPLE}){_INNER}(?<![.!?…;,])
    ){mark}"""


_PHRASE = rf"(?:{_between('[*]')}|{_between('_')})[.!…]{{0,3}}+"
_QUOTE = r"""["“‘«„「『]"""
_NEXT = r"[\p{Lu}\p{Lt}\p{Lo}\p{N}\p{So}¿¡—–(\[…]|\*\*|__"

LATER_STAGE_DIRECTION = regex.compile(rf"(?x){_PHRASE}(?=[ \t]{{0,9}}+(?:\n|{_QUOTE})|[ \t]{{1,9}}+(?:{_NEXT}|[*_]))")
"""Matches a stage direction of several words, where something was spoken before it in the text."""

FIRST_STAGE_DIRECTION = regex.compile(
    rf"""(?x){_PHRASE}(?=(?:\s{{0,9}}+{_PHRASE}){{0,5}}+
    (?:[ \t]{{0,9}}+{_QUOTE}|[ \t]{{1,9}}+(?:{_NEXT})|[ \t]{{0,9}}+\n\s{{0,20}}+(?:[^\s*_]|\*\*|__)))"""
)
"""Matches one where nothing else was spoken before it, so that something must follow it."""
