"""A benchmark's results as a picture: bars, one panel for each question. Knows no measuring.

Pillow draws it; it is one of the packages for development.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from . import wyoming
from .engine import Report

_WIDTH, _MARGIN, _LABELS, _VALUES = 1600, 48, 300, 220
_BAR, _GAP = 34, 12
_SIZE, _HEADING, _SMALL = 26, 32, 22
_INK, _QUIET, _PAPER = "#1f2933", "#66737f", "#ffffff"
_COLOURS = ("#2f6db3", "#6aa5dd", "#e09f3e", "#b8c0c8", "#6b7a88")
_MACHINE_CHARACTERS = 130


@dataclass(frozen=True)
class Panel:
    """Bars by their labels, each of parts by their names; all panels have a scale of their own."""

    title: str
    bars: Mapping[str, Mapping[str, float]]

    @property
    def parts(self) -> list[str]:
        """Names of the parts, "" where bars are whole."""
        return list(dict.fromkeys(part for bar in self.bars.values() for part in bar))

    @property
    def height(self) -> int:
        """Pixels that it takes."""
        return _HEADING + 2 * _GAP + len(self.bars) * (_BAR + _GAP) + 2 * _GAP


def title(report: Report | wyoming.Report) -> str:
    """What was measured, in a line."""
    run = report.run
    return f"Qwen3-TTS {run['weights']}, {run['quantize'].replace('none', 'exact')} on {run['device']}"


def engine_panels(report: Report) -> list[Panel]:
    """What is drawn of `bench engine`."""
    systems = report.systems
    frame = {
        name: {part: value for part, value in figures.ms_per_frame.items() if part != "total"}
        for name, figures in systems.items()
        if figures.ms_per_frame
    }
    floor = {"floor": {"reading the weights": report.floor.ms_per_frame}} if report.floor else {}
    rows = {f"{count} side by side": _whole(speed) for count, speed in systems["ours"].rows.items()}
    return [
        Panel("Audio seconds per second", {name: _whole(figures.speed_x) for name, figures in systems.items()}),
        Panel("First sound, ms", {name: _whole(figures.first_pcm_ms["default"]) for name, figures in systems.items()}),
        Panel("One frame of 80 ms, ms", frame | floor),
        Panel("Audio seconds per second, all of ours together", rows),
    ]


def wyoming_panels(report: wyoming.Report) -> list[Panel]:
    """What is drawn of `bench wyoming`."""
    by_clients = {f"{count} at once": figures for count, figures in report.clients.items()}
    return [
        Panel("First chunk, ms, median", {name: _whole(one.first_ms_p50) for name, one in by_clients.items()}),
        Panel(
            "Audio seconds per second, all together", {n: _whole(one.audio_s_per_s) for n, one in by_clients.items()}
        ),
        Panel(
            "Seconds of stalls in an answer", {n: _whole(one.stall_s / one.answers) for n, one in by_clients.items()}
        ),
        Panel("Last byte, s, median", {name: _whole(one.last_ms_p50 / 1e3) for name, one in by_clients.items()}),
    ]


def draw(file: Path, heading: str, machine: Mapping[str, object], panels: Sequence[Panel]) -> None:
    """Write a PNG of the panels, below each other."""
    lines = wrap(", ".join(f"{name} {value}" for name, value in machine.items()), _MACHINE_CHARACTERS)
    top = 2 * _MARGIN + _HEADING
    height = top + sum(panel.height for panel in panels) + len(lines) * (_SMALL + _GAP) + _MARGIN
    image = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((_MARGIN, _MARGIN), heading, _INK, _font(_HEADING))
    for panel in panels:
        _draw_panel(pen, panel, top)
        top += panel.height
    for number, line in enumerate(lines):
        pen.text((_MARGIN, top + number * (_SMALL + _GAP)), line, _QUIET, _font(_SMALL))
    image.save(file, "PNG")


def _draw_panel(pen: ImageDraw.ImageDraw, panel: Panel, top: int) -> None:
    pen.text((_MARGIN, top), panel.title, _INK, _font(_SIZE))
    left = _MARGIN + _LABELS
    if panel.parts != [""]:
        _draw_legend(pen, panel.parts, top)
    longest = max(sum(bar.values()) for bar in panel.bars.values()) or 1.0
    scale = (_WIDTH - _MARGIN - _VALUES - left) / longest
    top += _HEADING + 2 * _GAP
    for label, bar in panel.bars.items():
        middle, at = top + _BAR / 2, float(left)
        pen.text((left - _GAP, middle), label, _INK, _font(_SIZE), anchor="rm")
        for part, value in bar.items():
            colour = _COLOURS[panel.parts.index(part)]
            pen.rectangle((at, top, at + max(scale * value, 1.0), top + _BAR), colour)
            at += scale * value
        pen.text((at + _GAP, middle), _number(sum(bar.values())), _INK, _font(_SIZE), anchor="lm")
        top += _BAR + _GAP


def _draw_legend(pen: ImageDraw.ImageDraw, parts: Sequence[str], top: int) -> None:
    at = float(_WIDTH - _MARGIN)
    for part in reversed(parts):
        at -= pen.textlength(part, _font(_SMALL))
        pen.text((at, top), part, _QUIET, _font(_SMALL))
        at -= _SMALL + _GAP
        pen.rectangle((at, top, at + _SMALL, top + _SMALL), _COLOURS[parts.index(part)])
        at -= 2 * _GAP


def _whole(value: float) -> dict[str, float]:
    return {"": value}


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
