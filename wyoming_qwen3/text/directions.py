"""Recognises stage directions, such as `*sighs*`, which are not spoken."""

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
