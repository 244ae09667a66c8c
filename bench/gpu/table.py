"""Results as a table that can be pasted into an issue."""

from collections.abc import Iterator, Mapping
from typing import Any

from .found import Found

_LONGEST = 160
"""Characters of a figure in the table; results.json has all of it."""


def to_markdown(results: Mapping[str, Found]) -> str:
    """Two tables: the steps, with what failed; and their figures."""
    return "\n".join([*_steps(results), "", *_figures(results)]) + "\n"


def _steps(results: Mapping[str, Found]) -> Iterator[str]:
    yield "| step | result | s |"
    yield "|---|---|---|"
    for step, found in results.items():
        yield f"| {step} | {_cell(_result(found))} | {found.took_s:.0f} |"


def _result(found: Found) -> str:
    if found.error:
        return f"FAILED: {found.error}"
    if failed := [name for name, passed in found.checks.items() if not passed]:
        return f"FAILED: {', '.join(failed)}"
    if found.skipped:
        return f"skipped: {found.skipped}"
    return f"passed ({len(found.checks)} checks)" if found.checks else "done"


def _figures(results: Mapping[str, Found]) -> Iterator[str]:
    yield "| step | figure | value |"
    yield "|---|---|---|"
    for step, found in results.items():
        for name, value in found.figures.items():
            yield f"| {step} | {_cell(name)} | {_cell(value)} |"


def _cell(value: Any) -> str:
    text = ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, dict) else str(value)
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
