"""The quantized language model: near the exact one, apart by rows, the same each time; and the file it is kept in."""

import errno
import logging
import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine.checkpoint.layouts import unpack
from tests.engine.conftest import LoadPair
from tests.engine.golden import request, run
from tests.tiny import build_checkpoint
from wyoming_qwen3.core.checkpoints import Kind, Size
from wyoming_qwen3.core.cpu_speed import Quantize
from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.core.request import Sampling
from wyoming_qwen3.engine.base import JobStopped
from wyoming_qwen3.engine.checkpoint.published import Published, open_checkpoint
from wyoming_qwen3.engine.kernels.build import kinds_here
from wyoming_qwen3.engine.kernels.library import Kernels, load_kernels
from wyoming_qwen3.engine.lm.cpu_pack_file import is_sensitive, packed_tensors
from wyoming_qwen3.engine.lm.cpu_packing import pack
from wyoming_qwen3.engine.lm.decode import Decoder, Row
from wyoming_qwen3.engine.lm.language_model import (
    LoadedLanguageModel,
    load_exact,
    load_int8,
    load_quantized,
)
from wyoming_qwen3.engine.lm.predictor import CodePredictor
from wyoming_qwen3.engine.lm.transformer import KvCache

LONG = "The quick brown fox jumps over the lazy dog, and then it sleeps."
TEXTS = (LONG, "Hello there.", "你好，世界。")
KINDS: list[tuple[Kind, Size]] = [("custom_voice", "0.6B"), ("voice_design", "1.7B"), ("base", "0.6B")]

Load = Callable[[Kind, Size, Quantize], LoadedLanguageModel]


@pytest.fixture(scope="module", params=[kind.name for kind in kinds_here()])
def kernels(request: pytest.FixtureRequest) -> Kernels:
    """Of each kind that this processor can run."""
    loaded = load_kernels(2, request.param)
    assert loaded is not None, "script/setup compiles the kernels"
    return loaded


@pytest.fixture(scope="module")
def load(pairs: LoadPair, kernels: Kernels) -> Load:
    return cache(lambda kind, size, quantize: load_quantized(pairs(kind, size).published, quantize, kernels))


def rounded_weights(published: Published, quantize: Quantize, kernels: Kernels) -> Decoder:
    """The exact decoder of weights that were rounded as the quantized one's are, and rounding activations alike."""
    weights, layers = dict(published.tensors), published.config.talker_config.num_hidden_layers
    for name, weight in weights.items():
        if weight.dim() == 2 and not re.search("embedding|text_projection|speaker_encoder", name):
            layer = re.search(r"^talker\.model\.layers\.(\d+)\..*(v|down)_proj", name)
            sensitive = layer is not None and is_sensitive(int(layer[1]), layers)
            four = quantize == "int4" and ".layers." in name and not sensitive
            weights[name] = unpack(pack(kernels, weight, 4 if four else 8))
    decoder = load_exact(replace(published, tensors=weights), "cpu", torch.float32).decoder
    assert isinstance(decoder.model.predictor, CodePredictor)
    for model in (decoder.model.talker, decoder.model.predictor):
        for name, linear in model.named_modules():
            if isinstance(linear, torch.nn.Linear) and not name.startswith("projection_"):
                linear.register_forward_pre_hook(lambda _, given: (rounded(given[0]),))
    return decoder


@pytest.fixture
def short_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exact models round keys and values to 16 bits, as the kernels keep them."""
    write = KvCache.write

    def rounding(self: KvCache, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return write(self, layer, keys.bfloat16().to(keys.dtype), values.bfloat16().to(values.dtype))

    monkeypatch.setattr(KvCache, "write", rounding)


def rounded(x: Tensor) -> Tensor:
    """Activations as the kernels round them: 8 bits, a scale for each 32 numbers."""
    groups = torch.nn.functional.pad(x, (0, -x.shape[-1] % 32)).view(*x.shape[:-1], -1, 32)
    scale = groups.abs().amax(-1, keepdim=True) / 127
    return ((groups / scale).round() * scale).flatten(-2)[..., : x.shape[-1]]


def states(decoder: Decoder, x: Tensor) -> Tensor:
    transformer = decoder.model.talker.transformer
    hidden = transformer(x, [transformer.new_cache(4)])
    return torch.cat((hidden[0], decoder.model.talker.logits(hidden[0])), dim=1)


@pytest.mark.usefixtures("short_caches")
@pytest.mark.parametrize("quantize", ["int8", "int4"])
@pytest.mark.parametrize(("kind", "size"), KINDS[:2])
def test_states_are_those_of_the_rounded_weights(
    pairs: LoadPair, load: Load, kernels: Kernels, kind: Kind, size: Size, *, quantize: Quantize
) -> None:
    """What is left is an activation here and there that falls to the other side of a half."""
    exact = rounded_weights(pairs(kind, size).published, quantize, kernels)
    hidden = 32 if size == "0.6B" else 48
    x = torch.randn(1, 12, hidden, generator=torch.Generator().manual_seed(3))
    expected = states(exact, x)
    error = states(load(kind, size, quantize).decoder, x) - expected
    assert error.std() < 1e-4 * expected.std()


@pytest.mark.parametrize("cuts", [(1,) * 100, (70, 30), (3, 97)])
def test_pieces_give_the_states_of_the_whole_to_the_last_bit(load: Load, cuts: tuple[int, ...]) -> None:
    transformer = load("custom_voice", "0.6B", "int8").decoder.model.talker.transformer
    x = torch.randn(1, 100, 32, generator=torch.Generator().manual_seed(4))
    cache = transformer.new_cache(1)
    pieces = [transformer(piece, [cache]) for piece in torch.split(x, list(cuts), dim=1)]
    assert torch.equal(torch.cat(pieces, dim=1), transformer(x, [transformer.new_cache(100)]))


@pytest.mark.parametrize("quantize", ["int8", "int4"])
@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_rows_that_join_and_leave_speak_as_if_alone(
    pairs: LoadPair, load: Load, kind: Kind, size: Size, quantize: Quantize
) -> None:
    decoder, pair = load(kind, size, quantize).decoder, pairs(kind, size)

    def admitted(number: int) -> Row:
        sampling = Sampling(seed=number, temperature=0.9 if number else 0, top_k=50 - number, top_p=1 - 0.1 * number)
        return decoder.admit(request(pair, sampling=sampling), text=TEXTS[number])

    alone = [run(decoder, admitted(number))[0] for number in range(3)]
    draw = random.Random(0)
    frames: dict[Row, list[list[int]]] = {}
    while len(frames) < 3 or any(row.can_advance for row in frames):
        if len(frames) < 3 and draw.random() < 0.3:
            frames[admitted(len(frames))] = []
        for frame in decoder.step(list(frames)):
            if frame.codes is not None:
                frames[frame.row].append(frame.codes.tolist())
    assert list(frames.values()) == alone
    assert all(row.ending == "eos" for row in frames)


@pytest.mark.usefixtures("short_caches")
def test_the_likeliest_codes_are_taken_without_temperature(pairs: LoadPair, load: Load, kernels: Kernels) -> None:
    """Of a predictor that is exact but for the rounding of weights, most codes are the same."""
    predictor = load("custom_voice", "0.6B", "int8").decoder.model.predictor
    exact = rounded_weights(pairs("custom_voice", "0.6B").published, "int8", kernels).model.predictor
    decoder, pair = load("custom_voice", "0.6B", "int8").decoder, pairs("custom_voice", "0.6B")
    samplers = [decoder.admit(request(pair, sampling=Sampling(temperature=0)), text="Hi.").sampler] * 8
    hidden = torch.randn(8, 32, generator=torch.Generator().manual_seed(5))
    firsts = torch.arange(8)
    codes, sums = predictor.frame(hidden, firsts, samplers)
    expected, _ = exact.frame(hidden, firsts, samplers)
    assert torch.equal(codes[:, 0], firsts)
    assert (codes[:, 1] == expected[:, 1]).sum() >= 7
    torch.testing.assert_close(sums, predictor.embed(codes), rtol=1e-5, atol=1e-5)


def test_draws_follow_the_distribution(load: Load, pairs: LoadPair, kernels: Kernels) -> None:
    """The second code of 2000 rows with the same state: as likely as its logits say, and none beyond top_k."""
    decoder, pair = load("custom_voice", "0.6B", "int8").decoder, pairs("custom_voice", "0.6B")
    given = request(pair, sampling=Sampling(seed=1, temperature=1.0, top_k=5))
    sampler = decoder.admit(given, text="Hi.").sampler
    hidden, firsts = torch.ones(2000, 32), torch.zeros(2000, dtype=torch.int64)
    codes, _ = decoder.model.predictor.frame(hidden, firsts, [sampler] * 2000)
    exact = rounded_weights(pair.published, "int8", kernels).model.predictor
    seen: list[Tensor] = []
    exact.heads[0].register_forward_hook(lambda _, __, out: seen.append(out[0]))  # type: ignore[attr-defined]
    exact.frame(hidden[:1], firsts[:1], [sampler])
    likely = sampler.choice.predictor.probabilities(seen[0][None])[0]
    share = torch.bincount(codes[:, 1], minlength=64) / 2000
    assert not share[likely == 0].any()
    assert (share - likely).abs().max() < 0.05


def test_a_pack_tells_how_far_it_is_and_leaves_nothing_when_stopped(kernels: Kernels, tmp_path: Path) -> None:
    """Both while the weights are rounded and while the pack is read."""
    path, told = build_checkpoint(tmp_path / "tiny", "custom_voice"), list[tuple[int, int]]()

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        raise JobStopped("Stopped.")

    with pytest.raises(JobStopped):
        packed_tensors(open_checkpoint(path), 8, kernels, stop)
    assert sorted(path.glob("*pack*")) == []
    for _ in range(2):
        told.clear()
        packed_tensors(open_checkpoint(path), 8, kernels, lambda *one: told.append(one))
        shares = [done / total for done, total in told]
        assert shares == sorted(shares)
        assert 0 < shares[0] < shares[-1] == pytest.approx(1, abs=0.01)
    with pytest.raises(JobStopped):
        packed_tensors(open_checkpoint(path), 8, kernels, stop)


def test_a_pack_is_kept_and_used_again(
    kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = build_checkpoint(tmp_path / "tiny", "custom_voice")
    first = packed_tensors(open_checkpoint(path), 8, kernels)
    file = path / "packed-int8.safetensors"
    assert file.exists()
    again = packed_tensors(open_checkpoint(path), 8, kernels)
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())
    assert list(again) == list(first)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in again.values())

    written = file.stat().st_mtime_ns
    packed_tensors(open_checkpoint(path), 8, kernels)
    assert file.stat().st_mtime_ns == written
    build_checkpoint(path, "custom_voice", seed=1)
    other = packed_tensors(open_checkpoint(path), 8, kernels)
    assert not torch.equal(other["talker.0.values.data"], first["talker.0.values.data"])

    file.write_bytes(file.read_bytes()[:-10])
    assert torch.equal(packed_tensors(open_checkpoint(path), 8, kernels)["talker.head.data"], other["talker.head.data"])
    file.write_bytes(b"\xff" * 100)
    assert torch.equal(packed_tensors(open_checkpoint(path), 8, kernels)["talker.head.data"], other["talker.head.data"])

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    file.unlink()
    monkeypatch.setattr("wyoming_qwen3.engine.lm.cpu_pack_file._write", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)  # also of what is not there
    with caplog.at_level(logging.WARNING):
        assert torch.equal(
            packed_tensors(open_checkpoint(path), 8, kernels)["talker.head.data"], other["talker.head.data"]
        )
    assert "Read-only file system" in caplog.text
    assert sorted(path.glob("*pack*")) == []


def test_values_and_down_projections_are_sensitive_at_the_ends_and_in_every_third_layer_between() -> None:
    assert [layer for layer in range(28) if is_sensitive(layer, 28)] == [
        0,
        1,
        2,
        5,
        8,
        11,
        14,
        17,
        20,
        23,
        *range(24, 28),
    ]
    assert [layer for layer in range(5) if is_sensitive(layer, 5)] == [2, 4]


def test_sensitive_matrices_keep_8_bits(kernels: Kernels, tmp_path: Path) -> None:
    published = open_checkpoint(build_checkpoint(tmp_path / "tiny", "custom_voice"))
    four, eight = (packed_tensors(published, bits, kernels) for bits in (4, 8))
    same = {name for name in four if name.endswith(".data") and len(four[name]) == len(eight[name])}
    sensitive = {f"talker.{layer}.{part}.data" for layer in (1,) for part in ("values", "down")}
    heads = {name for name in eight if re.search(r"head.*\.data", name)}
    assert same == sensitive | heads


def test_a_checkpoint_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    kernels = load_kernels(1)
    assert kernels is not None
    path = build_checkpoint(tmp_path / "tiny", "custom_voice")
    whole = load_file(path / "model.safetensors")
    for name in ("talker.codec_head.weight", "talker.text_projection.linear_fc1.bias"):
        save_file({key: tensor for key, tensor in whole.items() if key != name}, path / "model.safetensors")
        with pytest.raises(ModelFailed):
            load_quantized(open_checkpoint(path), "int8", kernels)


def test_without_kernels_pytorch_computes_in_8_bits(pairs: LoadPair) -> None:
    """The slower way speaks too, near the exact model, and its rows do not disturb each other."""
    pair = pairs("custom_voice", "0.6B")
    decoder = load_int8(pair.published).decoder
    x = torch.randn(1, 12, 32, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = states(pair.decoder, x)
        assert (states(decoder, x) - expected).std() < 0.1 * expected.std()
    given = request(pair, sampling=Sampling(temperature=0))
    alone = [run(decoder, decoder.admit(given, text=text))[0] for text in TEXTS[:2]]
    assert run(decoder, *(decoder.admit(given, text=text) for text in TEXTS[:2])) == alone


def test_a_remembered_beginning_changes_no_frame(pairs: LoadPair, kernels: Kernels) -> None:
    """Frames are the same to the last code with and without it, and follow the text, voice and instruction."""
    pair = pairs("custom_voice", "1.7B")

    def speak(decoder: Decoder, text: str, speaker: str = "ryan", instruct: str | None = None) -> list[list[int]]:
        given = request(pair, speaker=speaker, instruct=instruct, sampling=Sampling(temperature=0, max_frames=4))
        return run(decoder, decoder.admit(given, text=text))[0]

    asked: list[tuple[str, str, str | None]] = [
        (LONG, "ryan", None),
        ("Good night, my dear friends.", "ryan", None),
        (LONG, "serena", None),
        (LONG, "ryan", "Whisper."),
        (LONG, "ryan", "Shout."),
    ]
    warm = load_quantized(pair.published, "int8", kernels).decoder
    cold = [speak(load_quantized(pair.published, "int8", kernels).decoder, *one) for one in asked]
    assert [speak(warm, *one) for one in asked] == cold
    assert [speak(warm, *one) for one in asked] == cold
    assert len({str(frames) for frames in cold}) == len(asked)
