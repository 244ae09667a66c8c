"""Finds where text may be cut for speaking: after sentences, after clauses, and elsewhere if it must be.

Works on clean text, in which an empty line separates blocks and whitespace ends a word. Does NOT know markdown, pauses,
or who waits for the pieces.
"""

import regex


def speakable(text: str) -> bool:
    """Return whether a text contains a letter or digit of any script."""
    return any(character.isalnum() for character in text)


class Sentences:
    """Splits text into whole sentences; the incomplete rest waits in `tail`.

    No text is lost: the returned sentences, joined, are the text that was fed. A sentence is returned only when the
    start of the next one shows that it has ended.
    """

    def __init__(self) -> None:
        self.tail = ""
        self._scanned = 0

    def feed(self, text: str) -> list[str]:
        """Add text and return the sentences that are now complete, each with the whitespace after it."""
        self.tail += text
        found, start = [], 0
        while (candidate := _TERMINATOR.search(self.tail, pos=self._scanned)) is not None:
            follows = _NEXT.match(self.tail, pos=candidate.end())
            if follows is None:
                self._scanned = candidate.start()
                break
            self._scanned = candidate.end()
            if _ends_sentence(self.tail, start, candidate, follows):
                end = follows.start("next")
                found.append(self.tail[start:end])
                start = self._scanned = end
        else:
            self._scanned = max(self._scanned, len(self.tail) - 1)
        self.cut(start)
        return found

    def cut(self, end: int) -> str:
        """Remove the first `end` characters of the tail and return them."""
        taken, self.tail = self.tail[:end], self.tail[end:]
        self._scanned = max(self._scanned - end, 0)
        return taken

    def finish(self) -> list[str]:
        """Remove the tail and return it as the last sentence; [] if it is empty."""
        last = self.cut(len(self.tail))
        return [last] if last else []


def clause_end(text: str) -> int:
    """Return the end of the last clause before which about three words or more can be spoken; 0 if there is none."""
    end, weight, at = 0, 0, 0
    for clause in _CLAUSE.finditer(text):
        weight += _weight(text[at : clause.end()])
        at = clause.end()
        if weight >= _CLAUSE_WEIGHT:
            end = at
    return end


def split_point(text: str, limit: int) -> int:
    """Return where to cut text that is longer than `limit` characters: the best place up to `limit`, never 0.

    The order is: the end of a clause, unless that is before a third of `limit`; whitespace; the end of an earlier
    clause; a place between two letters of a script without whitespace; else `limit` itself, inside a word.
    """
    clause = 0
    for found in _CLAUSE.finditer(text):
        if found.end() > limit:
            break
        clause = found.end()
    if clause >= limit // 3 > 0:
        return clause
    space = max(text.rfind(" ", 1, limit + 1), text.rfind("\n", 1, limit + 1))
    if space > 0:
        return space
    gaps = [gap.start() for gap in _CJK_GAP.finditer(text, 1, min(limit + 1, len(text)))]
    return clause or (gaps[-1] if gaps else limit)


_CLAUSE_WEIGHT = 12
_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}ー々〆"
_CLOSERS = r"""["'”’»›)\]}」』）》】〉]*+"""

_TERMINATOR = regex.compile(
    rf"(?P<block>\n\n)|(?P<wide>[。！？]+[。！？…]*+){_CLOSERS}|(?P<narrow>[.!?…؟।॥]++){_CLOSERS}"
)
_NEXT = regex.compile(r"(?P<space>\s*+)(?P<next>\S)")
_CLAUSE = regex.compile(rf"""[,;:،؛]{_CLOSERS}(?=\s|$)|(?<=\s)[—–]+(?=\s|$)|—+|[、；]|(?<!\d)[，：]|[，：](?!\d|$)""")
_CJK_LETTER = regex.compile(rf"[{_CJK}]")
_CJK_GAP = regex.compile(rf"(?<=[{_CJK}。！？，、；：])(?=[{_CJK}])")

_INITIAL = regex.compile(r"(?<![\p{L}\p{N}'’])(?:\p{Lu}|\p{Ll}|(?:\p{L}\.\s?)+\p{L})$")
_ORDINAL = regex.compile(r"(?<![\p{N}.,:])\d{1,2}$")
_HOUR = regex.compile(r"\d\s?[ap]\.\s?m$", regex.IGNORECASE)
_ABBREVIATION = regex.compile(
    r"""(?xi)(?<![\p{L}\p{N}])(?:
    mrs?|ms|dr|prof|st|sr|jr|vs|approx|dept|est|fig|inc|ltd|no|nos|vol|mt|gen|col|sgt|capt|lt|rev|hon|gov
    |nr|bzw|ca|inkl|exkl|abb|str|tel|hr|fr|mag|ing|dipl|zzgl|evtl|ggf|vgl|sog|geb|gest|jh|hl|std|min|sek|mio|mrd
    |mme|mlle|m|env|av|boul|chap|art|cf|sra|srta|dra|dña|ud|uds|pág|págs|núm|aprox|avda|ee
    |sig|sigg|dott|avv|ecc|pag|arch|exmo|exma|eng|nº|г|гг|ул|пр|им|см|стр|руб|коп|тыс|млн|млрд|проф|акад
    )$"""
)


def _ends_sentence(text: str, start: int, candidate: regex.Match[str], follows: regex.Match[str]) -> bool:
    """Return whether a sentence that begins at `start` ends with the punctuation found, given what follows it."""
    upcoming = follows["next"]
    if candidate["block"] or "\n\n" in follows["space"] or candidate["wide"]:
        return True
    if not follows["space"]:
        marks_end = candidate["narrow"].strip("!?؟") == ""
        return marks_end and _CJK_LETTER.match(upcoming) is not None
    if upcoming.islower() or upcoming in "—–-,;:.!?…":
        return False
    if candidate[0] != ".":
        return True
    before = text[max(start, candidate.start() - 40) : candidate.start()]
    if _HOUR.search(before):
        return not upcoming.isdigit()
    return not (_INITIAL.search(before) or _ORDINAL.search(before) or _ABBREVIATION.search(before))


def _weight(text: str) -> int:
    """Count letters and digits; one of a script whose letters are syllables or more counts twice."""
    return sum(2 if _CJK_LETTER.match(character) else 1 for character in text if character.isalnum())
