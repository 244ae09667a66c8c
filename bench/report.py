"""A benchmark's results as text and as JSON. Knows no measuring."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from wyoming_qwen3 import __version__

from . import http, vllm, wyoming
from .engine import Figures, Report


def to_json(report: Report) -> str:
    """Machine, run and gates, and if these are passed systems and floor; what was not measured is left out."""
    content = asdict(report)
    if not report.systems:
        del content["systems"]
    if report.floor is None:
        del content["floor"]
    for figures in content.get("systems", {}).values():
        for name in [name for name, value in figures.items() if value in (None, {})]:
            del figures[name]
    return json.dumps(content, indent=2) + "\n"


def to_text(report: Report) -> str:
    """A table to read; without passed gates it has no figures."""
    return "\n".join(_lines(report)) + "\n"


def to_sheet(report: Report) -> str:
    """A table of the machine and what it does with our engine, in Markdown, to be pasted into an issue."""
    machine, run, ours = report.machine, report.run, report.systems["ours"]
    lines = {
        "processor": f"{machine['cpu']} ({machine['instructions'] or 'no special instructions'})",
        "cores, memory": f"{machine['cores']}, {machine['memory_gb']} GB",
        "device": machine.get("gpu", run["device"]),
        "kernels, threads": f"{run['kernels'] or 'PyTorch'}, {machine['torch_threads']}",
        "weights": f"{run['weights']}, {run['quantize'] if run['quantize'] != 'none' else run['dtype']}",
        "audio s per wall s": f"{ours.speed_x:.2f}",
        "first PCM": f"{ours.first_pcm_ms['default']:.0f} ms",
        "ms per frame": ", ".join(f"{part} {ours.ms_per_frame[part]:.1f}" for part in ("talker", "predictor", "codec")),
        "load average before": machine["load_average"],
        "version": f"wyoming-qwen3 {__version__}, torch {machine['torch']}, Python {machine['python']}",
    }
    return "| this machine | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in lines.items())


def http_to_json(report: http.Report) -> str:
    """Machine, run and gates, and if these are passed systems and how many times faster a batch is."""
    content = asdict(report)
    if report.passed:
        content["batch_gain"] = report.batch_gain
    else:
        del content["systems"]
    return json.dumps(content, indent=2) + "\n"


def http_to_text(report: http.Report) -> str:
    """A table to read; without passed gates it has no figures."""
    return "\n".join(_http_lines(report)) + "\n"


def wyoming_to_json(report: wyoming.Report) -> str:
    """Machine, run and gates, and if these are passed figures by the number of clients, and the server's overhead."""
    content = asdict(report)
    if not report.passed:
        del content["clients"]
    if report.overhead is None:
        del content["overhead"]
    else:
        content["overhead"]["added_ms"] = report.overhead.added_ms
    return json.dumps(content, indent=2) + "\n"


def wyoming_to_text(report: wyoming.Report) -> str:
    """A table to read; without passed gates it has no figures."""
    return "\n".join(_wyoming_lines(report)) + "\n"


def vllm_to_json(report: vllm.Report) -> str:
    """Machine, run and gates, and if these are passed latency, load and what the hop adds."""
    content = asdict(report)
    if report.passed:
        content["added_ms"] = report.added_ms
    else:
        del content["latency"], content["load"]
    return json.dumps(content, indent=2) + "\n"


def vllm_to_text(report: vllm.Report) -> str:
    """Tables to read; without passed gates they have no figures."""
    return "\n".join(_vllm_lines(report)) + "\n"


def _vllm_lines(report: vllm.Report) -> Iterator[str]:
    run = report.run
    yield from _heading(report)
    yield f"{run['requests']} requests; {run['streams']} streams of {run['seconds']:g} s at {run['pace']:g} x real time"
    yield ""
    yield from _gates(report)
    if not report.passed:
        return
    yield ""
    yield f"{'':14}{'first sound ms, p50':>22}{'p95':>8}"
    for name, latency in report.latency.items():
        yield f"{name:14}{latency.p50:>22.2f}{latency.p95:>8.2f}"
    yield f"Through ours the first sound is {report.added_ms:.2f} ms later (p50)."
    yield ""
    columns = f"{'audio s per s':>14}{'late streams':>14}{'latest ms':>11}{'first ms p50':>14}{'p95':>8}{'our CPU':>9}"
    yield f"{'':14}{columns}"
    for name, load in report.load.items():
        yield (
            f"{name:14}{load.audio_s_per_s:>14.1f}{load.late_streams:>14}{load.latest_ms:>11.0f}"
            f"{load.first_ms_p50:>14.1f}{load.first_ms_p95:>8.1f}{load.cpu_share:>9.0%}"
        )


def _http_lines(report: http.Report) -> Iterator[str]:
    run = report.run
    yield from _heading(report)
    yield f"{run['texts']} texts, {run['checkpoints']} {run['size']}; median of {run['runs']} runs"
    yield ""
    yield from _gates(report)
    if not report.passed:
        return
    yield ""
    yield f"{'':12}{'wall s':>10}{'audio s per s':>16}{'first byte ms':>16}"
    for name, figures in report.systems.items():
        first = "-" if figures.first_byte_ms is None else f"{figures.first_byte_ms:.1f}"
        yield f"{name:12}{figures.wall_s:>10.3f}{figures.speed_x:>16.2f}{first:>16}"
    yield ""
    yield f"A batch is {report.batch_gain:.2f} times as fast as its texts one after the other."


def _wyoming_lines(report: wyoming.Report) -> Iterator[str]:
    run = report.run
    yield from _heading(report)
    yield f"{run['weights']}, {run['quantize']} on {run['device']}; {run['text']} texts, {run['runs']} runs"
    yield ""
    yield from _gates(report)
    if not report.passed:
        return
    yield ""
    yield "clients" + "".join(f"{count:>10}" for count in report.clients).rjust(10 * len(report.clients) + 25)
    for label, cell in _WYOMING_ROWS.items():
        yield f"{label:32}" + "".join(f"{cell(figures):>10}" for figures in report.clients.values())
    if overhead := report.overhead:
        yield ""
        yield (
            f"First sound: {overhead.engine_ms:.1f} ms of the engine in process, {overhead.tcp_ms:.1f} ms over TCP, "
            f"{overhead.added_ms:.1f} ms more (p50)."
        )


_WYOMING_ROWS: Mapping[str, Callable[[wyoming.Figures], str]] = MappingProxyType(
    {
        "first chunk ms, p50": lambda figures: f"{figures.first_ms_p50:.0f}",
        "first chunk ms, p95": lambda figures: f"{figures.first_ms_p95:.0f}",
        "first chunk, worst by mean": lambda figures: f"{figures.worst_by_mean:.2f}",
        "audio s per wall s": lambda figures: f"{figures.audio_s_per_s:.3f}",
        "answers": lambda figures: f"{figures.answers}",
        "audio s of an answer": lambda figures: f"{figures.audio_s:.1f}",
        "stalls of all answers": lambda figures: f"{figures.stalls}",
        "stalls, s in all": lambda figures: f"{figures.stall_s:.2f}",
        "last byte ms, p50": lambda figures: f"{figures.last_ms_p50:.0f}",
        "last byte ms, p95": lambda figures: f"{figures.last_ms_p95:.0f}",
        "server's CPU at real time": lambda figures: f"{figures.server_cpu:.1%}",
    }
)


def _heading(report: Report | http.Report | vllm.Report | wyoming.Report) -> Iterator[str]:
    yield ", ".join(f"{name} {value}" for name, value in report.machine.items())


def _gates(report: Report | http.Report | vllm.Report | wyoming.Report) -> Iterator[str]:
    for gate, passed in report.gates.items():
        yield f"gate {gate}: {'passed' if passed else 'FAILED'}"
    if not report.passed:
        yield "A gate failed, so nothing was measured."


def _lines(report: Report) -> Iterator[str]:
    run = report.run
    yield from _heading(report)
    yield (
        f"{run['weights']} on {run['device']}, {run['dtype']}, ours {_ours(run)}; "
        f"{run['frames']} frames, {run['runs']} runs"
    )
    yield ""
    yield from _gates(report)
    if not report.passed:
        return
    yield ""
    yield from _table(report)
    if report.floor:
        yield ""
        yield (
            f"Floor: the weights of a frame are read at {report.floor.gparam_per_s:.2f} Gparam/s at the most, "
            f"{report.floor.ms_per_frame:.1f} ms a frame: {report.floor.share:.0%} of our talker and predictor."
        )


def _ours(run: Mapping[str, Any]) -> str:
    return f"{run['quantize']} with kernels {run['kernels']}" if run.get("kernels") else str(run["quantize"])


def _table(report: Report) -> Iterator[str]:
    systems = {name: _cells(figures) for name, figures in report.systems.items()}
    if report.floor:
        systems["ours"]["talker and predictor, % of the floor"] = f"{report.floor.share:.0%}"
    labels = list(systems["ours"])
    width = max(map(len, labels))
    yield " " * width + "".join(f"{name:>16}" for name in systems)
    for label in labels:
        yield f"{label:{width}}" + "".join(f"{cells.get(label, '-'):>16}" for cells in systems.values())


def _cells(figures: Figures) -> dict[str, str]:
    cells = {"audio s per wall s": f"{figures.speed_x:.3f}"}
    for chunk, milliseconds in figures.first_pcm_ms.items():
        label = f"first PCM ms, p50 / p95, first chunk {chunk}"
        cells[label] = f"{milliseconds:.0f} / {figures.first_pcm_ms_p95[chunk]:.0f}"
    if figures.first_pcm_ms_new_voice is not None:
        cells["first PCM ms, p50, a voice's first time"] = f"{figures.first_pcm_ms_new_voice:.0f}"
    cells["utterance s, p50 / p95"] = f"{figures.utterance_s['p50']:.2f} / {figures.utterance_s['p95']:.2f}"
    for part, milliseconds in figures.ms_per_frame.items():
        cells[f"ms per frame, {part}"] = f"{milliseconds:.1f}"
    for count, speed in figures.rows.items():
        cells[f"audio s per wall s, rows {count}"] = f"{speed:.3f}"
    for label, seconds in (("load s", figures.load_s), ("load and pack s", figures.pack_s)):
        if seconds is not None:
            cells[label] = f"{seconds:.1f}"
    return cells | {"peak MB": f"{figures.peak_mb:.0f}"}
