"""Which checkpoints are unloaded to make room for others: a pure function."""

from collections.abc import Iterable

from .state import Model, State


def choose_evictions(models: Iterable[Model], need: int, budget: int) -> list[Model]:
    """Return the idle checkpoints to unload, longest unused first, so that `need` more bytes fit into `budget` bytes.

    Returns all idle ones if even that is not enough.
    """
    models = list(models)
    surplus = sum(model.footprint for model in models) + need - budget
    chosen = []
    for model in sorted(models, key=lambda model: model.last_used):
        if surplus <= 0:
            break
        if model.state is State.READY and not model.users:
            chosen.append(model)
            surplus -= model.footprint
    return chosen
