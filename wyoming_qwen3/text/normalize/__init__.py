"""Writes numbers, units, currencies, dates, times, signs and abbreviations in words, in ten languages.

Pure functions over data of CLDR and of `lexicons/`. Knows no voices, pieces or markup.
"""

from .scan import Mode, mode_for, normalize, open_from, prepare

__all__ = ["Mode", "mode_for", "normalize", "open_from", "prepare"]
