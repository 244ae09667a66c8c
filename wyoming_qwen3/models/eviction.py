"""Which checkpoints leave memory for others: a pure function."""

from collections.abc import Iterable

from .state import Model, State


def choose_evictions(models: Iterable[Model], need: int, budget: int) -> list[Model]:
    """The idle checkpoints to drop, longest unused first, so that `need` bytes more stay within the budget.

    All idle ones, where even that is not enough.
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
