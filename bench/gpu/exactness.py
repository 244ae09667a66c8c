"""Whether the GPU computes what the CPU does: language model and codec, captured and not, rows side by side."""

from dataclasses import replace
from time import perf_counter

import torch
from torch import Tensor

from bench.systems import text_for
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.engine.checkpoint.published import open_codec
from wyoming_qwen3.engine.codec.decoder import CodecDecoder
from wyoming_qwen3.engine.codec.gpu_decoder import StaticCodec
from wyoming_qwen3.engine.cuda_graphs import DirectCalls, choose_graphs
from wyoming_qwen3.engine.lm.decode import Decoder, Row
from wyoming_qwen3.engine.lm.fused.choice import choose_fused, why_not_fused
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.language_model import load_exact, load_static
from wyoming_qwen3.engine.precision import compute_exactly

from .found import Finder, Run

_ROWS = (1, 2, 3, 8, 11)
_FRAMES, _EXACT_FRAMES = 16, 12
_PIECES = (1, 2, 4, 4, 3, 1, 16, 4, 5)
_PROMPT = 40
"""Positions after which logits are compared."""

_VARIED = (
    Sampling(temperature=0.0),
    Sampling(top_p=0.8),
    Sampling(top_k=10),
    Sampling(repetition_penalty=1.3),
    Sampling(),
)

Frames = list[list[list[int]]]


def parity(run: Run, finder: Finder) -> None:
    """The language model: replays against calls, float32 against the CPU, and how far bfloat16 is from that."""
    compute_exactly()
    size = run.sizes[0]
    published = run.weights(size).open()
    text, long = text_for(published, _FRAMES), text_for(published, 2 * _FRAMES)
    model = load_exact(published, run.device, run.dtype).decoder.model
    replayed = StaticDecoder(published, model, choose_graphs(run.device, wanted=True))
    called = StaticDecoder(published, model, DirectCalls())
    alone: Frames = []
    for count in _ROWS:
        one, two = (speak(decoder, _rows(decoder, count, text, long), _FRAMES) for decoder in (replayed, called))
        finder.check(f"replays equal calls, {count} rows", one == two, difference(one, two))
        alone = alone or one
        finder.keep(f"row 1 of {count} and alone", difference(one[:1], alone))
    plain = Decoder(published, model)
    greedy = [speak(decoder, _rows(decoder, 1, text, long), _FRAMES) for decoder in (plain, replayed)]
    finder.keep(f"{run.dtype}, greedy, with and without slots", difference(*greedy))
    del replayed, called, plain
    exact, host = (load_exact(published, device, torch.float32).decoder for device in (run.device, "cpu"))
    on_device = StaticDecoder(published, exact.model, choose_graphs(run.device, wanted=True))
    found = [speak(decoder, _rows(decoder, 1, text, long), _EXACT_FRAMES) for decoder in (on_device, host)]
    finder.check("float32: greedy frames are the CPU's", found[0] == found[1], difference(*found))
    for name, decoder, limit in (("float32", exact, 1e-4), (str(run.dtype), Decoder(published, model), 0.1)):
        error = _logits_error(decoder, host)
        finder.check(f"{name}: error of logits after {_PROMPT} positions", error < limit, f"{error:.2e}")


def fused(run: Run, finder: Finder) -> None:
    """The fused kernels, plain and with 8-bit weights: used, near PyTorch's, and a row's codes the same in a crowd."""
    if reason := why_not_fused(run.device):
        finder.skip(f"there are no fused kernels here: {reason}")
        return
    compute_exactly()
    published = run.weights(run.sizes[0]).open()
    text, long = text_for(published, _FRAMES), text_for(published, 2 * _FRAMES)
    for name, dtype, rounded in (
        ("bfloat16", torch.bfloat16, False),
        ("8 bits", torch.bfloat16, True),
        ("float32", torch.float32, False),
    ):
        start, graphs = perf_counter(), choose_graphs(run.device, wanted=True)
        loaded = load_static(published, run.device, dtype, graphs, choose_fused(run.device), rounded=rounded)
        finder.keep(f"{name}, s to load, compile and capture", round(perf_counter() - start, 1))
        decoder = loaded.decoder
        used = isinstance(decoder, StaticDecoder) and decoder.slots.fused
        finder.check(f"{name}: the fused kernels are used", used)
        alone = speak(decoder, _rows(decoder, 1, text, long), _FRAMES)
        for count in _ROWS[1:]:
            beside = speak(decoder, _rows(decoder, count, text, long), _FRAMES)[:1]
            finder.check(f"{name}: row 1 of {count} is row 1 alone", beside == alone, difference(beside, alone))
        plain = StaticDecoder(published, decoder.model, choose_graphs(run.device, wanted=True))
        finder.keep(f"{name}, against PyTorch's", difference(speak(plain, _rows(plain, 1, text, long), _FRAMES), alone))
    host = load_exact(published, "cpu", torch.float32).decoder
    found = speak(host, _rows(host, 1, text, long), _EXACT_FRAMES)
    short = [row[:_EXACT_FRAMES] for row in alone]
    finder.check("float32: greedy frames are the CPU's", found == short, difference(found, short))


def codec(run: Run, finder: Finder) -> None:
    """The codec: in pieces against all at once, streams in turn, and against float64 on the CPU."""
    compute_exactly()
    published = open_codec(run.folder / run.sizes[0] / "speech_tokenizer")
    config = published.config
    codes = torch.randint(
        config.codebook_size, (sum(_PIECES), config.num_quantizers), generator=torch.Generator().manual_seed(0)
    )
    decoder = CodecDecoder(published.decoder(run.device), config)
    static = StaticCodec(decoder, choose_graphs(run.device, wanted=True))
    with torch.inference_mode():
        streamed = _streamed(static, codes)
        whole = decoder.decode(codes.to(run.device), decoder.new_state()).cpu()
        error = float((streamed - whole).abs().max() / whole.std())
        finder.check("streamed is the whole", error < 2e-3, f"{error:.2e}")
        states = [static.new_state(), static.new_state()]
        in_turn: list[list[Tensor]] = [[], []]
        for start in range(0, 16, 4):
            for number, own in enumerate((codes, codes.flip(0))):
                in_turn[number].append(static.decode(own[start : start + 4], states[number]))
        again = static.new_state()
        alone = torch.cat([static.decode(codes[start : start + 4], again) for start in range(0, 16, 4)])
        finder.check("streams in turn are streams alone", torch.equal(torch.cat(in_turn[0]), alone))
        exact = CodecDecoder(replace(published.decoder("cpu"), dtype=torch.float64), config)
        truth = exact.decode(codes[:8], exact.new_state())
        error = float((whole[: len(truth)].double() - truth).norm() / truth.norm())
        finder.check("error against float64 on the CPU", error < 1e-3, f"{error:.2e}")


def speak(decoder: Decoder, rows: list[Row], frames: int) -> Frames:
    """Return the codes of so many frames of each row, stepped side by side."""
    made: dict[Row, list[list[int]]] = {row: [] for row in rows}
    while going := [row for row in rows if len(made[row]) < frames and row.can_advance]:
        for frame in decoder.step(going):
            if frame.codes is not None:
                made[frame.row].append(frame.codes.tolist())
    for row in rows:
        row.end("limit")
    return [codes[:frames] for codes in made.values()]


def difference(one: Frames, two: Frames) -> str:
    """Return where the first difference is: row, frame and code, each from 0."""
    for row, (left, right) in enumerate(zip(one, two, strict=True)):
        for frame, (a, b) in enumerate(zip(left, right, strict=False)):
            if a != b:
                code = next(place for place, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
                return f"differ in row {row}, frame {frame}, code {code}"
        if len(left) != len(right):
            return f"row {row} has {len(left)} and {len(right)} frames"
    return "equal"


def _rows(decoder: Decoder, count: int, short: str, long: str) -> list[Row]:
    """Rows that differ in text, seed and how they draw; the first one is greedy."""
    voice, _ = find_voice("ryan")
    return [
        decoder.admit(
            SpeechRequest(voice, sampling=_seeded(_VARIED[number % len(_VARIED)], number)),
            text=long if number % 2 else short,
        )
        for number in range(count)
    ]


def _seeded(sampling: Sampling, seed: int) -> Sampling:
    return replace(sampling, seed=seed)


@torch.inference_mode()
def _logits_error(decoder: Decoder, exact: Decoder) -> float:
    """Return the relative error of the talker's logits after some random embeddings."""
    talker, width = exact.model.talker, exact.model.talker.config.hidden_size
    x = 0.5 * torch.randn(1, _PROMPT, width, generator=torch.Generator().manual_seed(1))

    def logits(one: Decoder, inputs: Tensor) -> Tensor:
        stack = one.model.talker
        return stack.logits(stack.advance(inputs, (stack.transformer.new_cache(_PROMPT),))).cpu()

    truth, other = logits(exact, x), decoder.model.talker
    assert talker.device.type == "cpu"
    return float((logits(decoder, x.to(other.device, other.dtype)) - truth).norm() / truth.norm())


def _streamed(codec: StaticCodec, codes: Tensor) -> Tensor:
    state = codec.new_state()
    return torch.cat([codec.decode(piece, state) for piece in torch.split(codes, list(_PIECES))])
