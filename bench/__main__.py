"""Command line of the benchmark: `python -m bench engine|wyoming|http|vllm|kernels|rounding ...`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import get_args

import torch

from wyoming_qwen3.core.checkpoints import SIZES
from wyoming_qwen3.core.cpu_speed import Quantize, quantize_candidates
from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.engine.kernels.build import kinds_here
from wyoming_qwen3.engine.native import CODEC_BITS

from . import engine, http, random_weights, rounding, texts, vllm, wyoming
from .engine import Plan
from .kernel_table import TARGETS, compile_for, kernels_to_json, to_markdown, variants
from .launches import count_fused, count_plain, launches_to_text
from .report import (
    http_to_json,
    http_to_text,
    to_json,
    to_sheet,
    to_text,
    vllm_to_json,
    vllm_to_text,
    wyoming_to_json,
    wyoming_to_text,
)
from .source import MAX_SECONDS
from .systems import Weights

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark and return the exit code: 0, or 1 when a gate fails or nothing could be measured."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if getattr(given, "device", None) == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU for --device cuda")
    if given.command == "wyoming" and not (given.random_weights or given.models_dir):
        parser.error("wyoming needs --models-dir, or --random-weights")
    try:
        measure = _MEASURES[given.command]
        outcome = measure(given)
    except SpeechError as error:
        _tell(f"bench: {error}")
        return 1
    sys.stdout.write(outcome.text)
    if getattr(given, "json", None):
        given.json.write_text(outcome.json, encoding="utf-8")
    if outcome.passed and outcome.draw:
        _draw(given, outcome.draw)
    return 0 if outcome.passed else 1


@dataclass(frozen=True)
class _Outcome:
    passed: bool
    text: str
    json: str
    draw: Callable[[Path], None] | None = None


def _draw(given: argparse.Namespace, draw: Callable[[Path], None]) -> None:
    beside = given.json.with_suffix(".png") if given.json else None
    file = given.png or beside or Path(gettempdir()) / f"wyoming-qwen3-bench-{given.command}.png"
    try:
        draw(file)
    except ImportError:
        _tell("There is no picture: Pillow is missing, which script/setup --dev installs.")
    else:
        _tell(f"Picture: {file}")


def _engine(given: argparse.Namespace) -> _Outcome:
    report = engine.run(_plan(given), _tell)

    def draw(file: Path) -> None:
        from . import picture  # noqa: PLC0415  its library is one for development

        picture.draw(file, picture.title(report), report.machine, picture.engine_panels(report))

    return _Outcome(
        report.passed,
        to_sheet(report) if given.sheet and report.passed else to_text(report),
        to_json(report),
        None if given.sheet else draw,
    )


def _wyoming(given: argparse.Namespace) -> _Outcome:
    runs = given.runs or (5 if given.device == "cpu" else 20)
    plan = wyoming.Plan(
        given.models_dir,
        given.random_weights,
        given.size,
        given.device,
        given.quantize,
        given.clients,
        given.text,
        runs,
    )
    report = asyncio.run(wyoming.run(plan, _tell))

    def draw(file: Path) -> None:
        from . import picture  # noqa: PLC0415  its library is one for development

        picture.draw(file, picture.title(report), report.machine, picture.wyoming_panels(report))

    return _Outcome(report.passed, wyoming_to_text(report), wyoming_to_json(report), draw)


def _http(given: argparse.Namespace) -> _Outcome:
    plan = http.Plan(given.models_dir, given.size, given.device, given.texts, given.runs)
    report = asyncio.run(http.run(plan, _tell))
    return _Outcome(report.passed, http_to_text(report), http_to_json(report))


def _vllm(given: argparse.Namespace) -> _Outcome:
    plan = vllm.Plan(given.requests, given.streams, given.seconds, given.chunk_frames, given.pace)
    report = asyncio.run(vllm.run(plan, _tell))
    return _Outcome(report.passed, vllm_to_text(report), vllm_to_json(report))


def _kernels(given: argparse.Namespace) -> _Outcome:
    fuses = find_spec("triton") is not None
    counts = [(size, count_plain(size), count_fused(size) if fuses else None) for size in given.sizes]
    if not fuses:
        _tell("Our kernels are not counted: Triton is missing, which pip install triton installs.")
        return _Outcome(not given.targets, launches_to_text(counts), kernels_to_json(counts, []))
    calls = variants(given.sizes) if given.targets else []
    compiled = [one for target in given.targets for one in compile_for(target, calls)]
    text = launches_to_text(counts) + ("\n" + to_markdown(compiled) if compiled else "")
    return _Outcome(True, text, kernels_to_json(counts, compiled))


def _rounding(_given: argparse.Namespace) -> _Outcome:
    errors = rounding.measure()
    return _Outcome(passed=True, text=rounding.to_text(errors), json="")


_MEASURES = {
    "engine": _engine,
    "wyoming": _wyoming,
    "http": _http,
    "vllm": _vllm,
    "kernels": _kernels,
    "rounding": _rounding,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures speed.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="engine|wyoming|http|vllm|kernels|rounding")
    command = commands.add_parser("engine", help="talker, code predictor and codec, without any server")
    _add_engine_options(command)

    command = commands.add_parser(
        "wyoming",
        help="the real server over TCP, asked by some clients at once",
        epilog="The server also takes its options from TTS_QWEN3_* variables.",
    )
    command.add_argument("--models-dir", type=Path, metavar="DIR", help="folder of checkpoints")
    command.add_argument(
        "--random-weights", action="store_true", help="published dimensions, no download; kept in --models-dir, if any"
    )
    command.add_argument("--size", choices=("0.6B", "1.7B", "tiny"), default="0.6B", metavar="0.6B|1.7B")
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    command.add_argument("--quantize", choices=("auto", *get_args(Quantize)), default="auto", help="as the server's")
    command.add_argument("--clients", type=_clients, default=(1, 2, 4, 8), metavar="N,...", help="at once; 1,2,4,8")
    command.add_argument(
        "--text", choices=("short", "long"), default="short", help="a sentence each, or four known at once"
    )
    command.add_argument("--runs", type=_positive, metavar="N", help="timed runs; 5 on CPU, else 20")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    command.add_argument("--png", type=Path, metavar="FILE", help="the picture's place; beside the JSON, or told")

    command = commands.add_parser("http", help="batches and single requests, on a server of its own")
    command.add_argument("--models-dir", type=Path, required=True, metavar="DIR", help="folder of checkpoints")
    command.add_argument("--size", choices=SIZES, default="0.6B", metavar="0.6B|1.7B")
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    command.add_argument("--texts", type=_positive, default=8, metavar="N", help="of a batch, at most 32")
    command.add_argument("--runs", type=_positive, default=5, metavar="N", help="timed runs")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")

    command = commands.add_parser(
        "vllm", help="what our server costs before a vLLM server, with a source of noise as one"
    )
    command.add_argument("--requests", type=_positive, default=200, metavar="N", help="one after the other, to each")
    command.add_argument("--streams", type=_positive, default=100, metavar="N", help="at once")
    command.add_argument("--seconds", type=_seconds, default=10.0, metavar="S", help="of each stream, 15 at the most")
    command.add_argument("--chunk-frames", type=_positive, default=4, metavar="N", help="of a chunk, 80 ms each")
    command.add_argument(
        "--pace", type=float, default=1.25, metavar="X", help="times real time; the source sends so fast"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")

    command = commands.add_parser(
        "kernels", help="launches of a frame on a GPU, and what its kernels take, without one"
    )
    command.add_argument("--sizes", type=_sizes, default=SIZES, metavar="0.6B,1.7B", help="whose dimensions; both")
    command.add_argument(
        "--compile",
        type=_targets,
        default=(),
        dest="targets",
        metavar="TARGET,...",
        help=f"registers, spilled and shared bytes of each kernel, on all or some of {', '.join(TARGETS)}",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    commands.add_parser("rounding", help="errors of products in 8 and 4 bits, ours and ggml's formats")
    return parser


def _add_engine_options(command: argparse.ArgumentParser) -> None:
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--random-weights", action="store_true", help="published dimensions, no download")
    source.add_argument("--checkpoint", type=Path, metavar="DIR", help="a CustomVoice checkpoint's folder")
    command.add_argument("--size", choices=("0.6B", "1.7B", "tiny"), default="0.6B", metavar="0.6B|1.7B")
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    command.add_argument("--dtype", choices=_DTYPES, help="of talker and predictor; float32 on CPU, else bfloat16")
    command.add_argument(
        "--quantize",
        choices=("auto", *get_args(Quantize)),
        default="auto",
        help="our language model's weights; auto is int8 on a CPU, as it serves",
    )
    command.add_argument("--no-graphs", action="store_true", help="do without CUDA graphs on a GPU")
    command.add_argument("--against", type=_names, default=(), metavar="stock,vox,faster", help="what else is measured")
    command.add_argument(
        "--gguf", type=_two_files, metavar="TALKER,CODEC", help="GGUF files for realtimetts-qwen-native-cpu, on a CPU"
    )
    command.add_argument(
        "--kind", choices=[kind.name for kind in kinds_here()], help="of our CPU kernels; the fastest that can run here"
    )
    command.add_argument("--codec", choices=list(CODEC_BITS), default="int16", help="our codec's weights, on a CPU")
    command.add_argument("--sheet", action="store_true", help="print a table of this machine for an issue")
    command.add_argument("--frames", type=_positive, default=25, metavar="N", help="of each utterance; 12.5 a second")
    command.add_argument("--runs", type=_positive, metavar="N", help="timed runs; 5 on CPU, else 20")
    command.add_argument("--rows", type=_counts, metavar="N,...", help="side by side; 1,2,4,8")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    command.add_argument("--png", type=Path, metavar="FILE", help="the picture's place; beside the JSON, or told")


def _plan(given: argparse.Namespace) -> Plan:
    on_cpu = given.device == "cpu"
    dtype = _DTYPES[given.dtype or ("float32" if on_cpu else "bfloat16")]
    quantize: Quantize = "int8" if not on_cpu and given.quantize == "int8" else "none"
    if on_cpu:
        quantize = quantize_candidates(given.quantize)[0]
    return Plan(
        weights=Weights(
            given.size, given.checkpoint, given.device, dtype, quantize, not given.no_graphs, given.kind, given.codec
        ),
        against=given.against,
        frames=given.frames,
        runs=given.runs or (5 if on_cpu else 20),
        rows=given.rows or ((1,) if given.sheet else (1, 2, 4, 8)),
        gguf=given.gguf,
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if set(names) - {"stock", "vox", "faster"}:
        raise argparse.ArgumentTypeError(f"only stock, vox and faster can be measured beside ours, not {text!r}")
    return names


def _two_files(text: str) -> tuple[Path, Path]:
    talker, _, codec = text.partition(",")
    for file in (talker, codec):
        if not Path(file).is_file():
            raise argparse.ArgumentTypeError(f"two files are expected, of a talker and a codec, but {file!r} is none")
    return Path(talker), Path(codec)


def _sizes(text: str) -> tuple[str, ...]:
    return _some_of(text, random_weights.SIZES)


def _targets(text: str) -> tuple[str, ...]:
    return tuple(TARGETS) if text == "all" else _some_of(text, TARGETS)


def _some_of(text: str, known: Collection[str]) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if set(names) - set(known):
        raise argparse.ArgumentTypeError(f"only {', '.join(known)} are known, not {text!r}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0 is expected, not {text}")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"a number between 1 and {MAX_SECONDS:g} is expected, not {text}")
    return seconds


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _clients(text: str) -> tuple[int, ...]:
    counts = _counts(text)
    if max(counts) > texts.COUNT:
        raise argparse.ArgumentTypeError(
            f"there are texts for {texts.COUNT} clients at the most, not for {max(counts)}"
        )
    return counts


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
