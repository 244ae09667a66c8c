"""The first steps: what there is, the weights for all others, and whether captures succeed and what they take."""

import importlib.metadata
import time
from dataclasses import asdict

import torch

from bench.machine import describe_machine
from bench.random_weights import SIZES, write_checkpoint
from bench.systems import text_for
from wyoming_qwen3.core.hardware import select
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.engine.checkpoint.published import open_codec
from wyoming_qwen3.engine.codec.decoder import CodecDecoder
from wyoming_qwen3.engine.codec.gpu_decoder import StaticCodec
from wyoming_qwen3.engine.cuda_graphs import choose_graphs
from wyoming_qwen3.engine.devices import find_facts, free_memory
from wyoming_qwen3.engine.lm.fused.choice import choose_fused
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.language_model import load_static
from wyoming_qwen3.engine.out_of_memory import give_back
from wyoming_qwen3.engine.precision import compute_exactly

from .found import Finder, Run
from .timers import microseconds

_PACKAGES = ("torch", "triton", "transformers", "tokenizers", "safetensors", "numpy", "qwen-tts")
_COPIED = 1 << 30
_STREAMS = 70


def environment(run: Run, finder: Finder) -> None:
    """Versions, the GPU, and what is chosen for it."""
    finder.keep("machine", describe_machine(run.device))
    finder.keep("packages", {name: _version(name) for name in _PACKAGES})
    facts = find_facts(run.device)
    finder.keep("facts", asdict(facts))
    selection = select(facts, run.device)
    finder.keep("chosen", selection.why)
    finder.check("the device is chosen", selection.device.startswith(run.device))
    if not run.on_gpu:
        return
    streams = {torch.cuda.Stream().cuda_stream for _ in range(_STREAMS)}  # type: ignore[no-untyped-call]
    finder.keep("different streams of 70", len(streams))
    source = torch.empty(_COPIED, dtype=torch.uint8, device=run.device)
    target = torch.empty_like(source)
    copying = microseconds(run.device, lambda: target.copy_(source))
    finder.keep("GB/s read and written by a copy", round(2e-3 * _COPIED / copying, 1))


def weights(run: Run, finder: Finder) -> None:
    """Write the random checkpoints that all other steps load."""
    for size in run.sizes:
        start = time.perf_counter()
        write_checkpoint(run.folder / size, SIZES[size], seed=0)
        finder.keep(f"{size}, s to write", round(time.perf_counter() - start, 1))


def capture(run: Run, finder: Finder) -> None:
    """Load each size with its captured steps: seconds, memory, and whether it speaks."""
    compute_exactly()
    for size in run.sizes:
        weights = run.weights(size)
        free, start = free_memory(run.device), time.perf_counter()
        published = weights.open()
        graphs = choose_graphs(run.device, wanted=True)
        loaded = load_static(published, run.device, weights.dtype, graphs, choose_fused(run.device))
        finder.keep(f"{size}, s to load and capture", round(time.perf_counter() - start, 2))
        finder.keep(f"{size}, MB taken", round((free - free_memory(run.device)) / 1e6))
        finder.keep(f"{size}, MB counted", round(loaded.footprint / 1e6))
        slotted = loaded.decoder
        finder.check(f"{size} has captured steps", isinstance(slotted, StaticDecoder))
        if isinstance(slotted, StaticDecoder):
            finder.keep(f"{size}, slots", slotted.slots.buckets.slots)
            finder.keep(f"{size}, steps are fused", slotted.slots.fused)
        request = SpeechRequest(find_voice("ryan")[0], sampling=Sampling(seed=1))
        row, frames = slotted.admit(request, text=text_for(published, 10)), 0
        while frames < 5 and row.can_advance:
            frames += sum(frame.codes is not None for frame in slotted.step([row]))
        finder.check(f"{size} speaks", frames == 5)
        del loaded, slotted, row
        give_back(run.device)
        finder.keep(f"{size}, MB left after dropping it", round((free - free_memory(run.device)) / 1e6))
    free, start = free_memory(run.device), time.perf_counter()
    published_codec = open_codec(run.folder / run.sizes[0] / "speech_tokenizer")
    decoder = CodecDecoder(published_codec.decoder(run.device), published_codec.config)
    StaticCodec(decoder, choose_graphs(run.device, wanted=True))
    finder.keep("codec, s to load and capture", round(time.perf_counter() - start, 2))
    finder.keep("codec, MB taken", round((free - free_memory(run.device)) / 1e6))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
