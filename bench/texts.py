"""What clients ask for: different sentences of one length, as a house would say them."""

_NEWS = (
    "The window in the {} is still open, and it will rain in less than an hour.",
    "Somebody has left the lamp in the {} on, so I will turn it off for you now.",
    "It is twenty one degrees in the {}, and the heating stays on until this evening.",
    "The smoke alarm in the {} needs a new battery, which you find in the drawer.",
    "The door of the {} has been locked, and nobody has opened it since the morning.",
    "There is a package for you in the {}, which has come while you were at work.",
    "The robot is cleaning the {} at the moment, and will be done in ten minutes.",
    "Your plants in the {} are too dry, so please water them before you go to bed.",
)
_PLACES = ("kitchen", "garage", "hall", "attic", "cellar", "garden", "bedroom", "office")

COUNT = len(_NEWS) * len(_PLACES)
"""Of sentences, and of answers, that differ."""


def sentence(number: int) -> str:
    """One of COUNT sentences."""
    turn, news = divmod(number % COUNT, len(_NEWS))
    return _NEWS[news].format(_PLACES[(news + turn) % len(_PLACES)])


def answer(number: int) -> str:
    """One of COUNT answers of four sentences."""
    return " ".join(sentence(number + place) for place in range(4))
