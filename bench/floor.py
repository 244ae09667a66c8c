"""The floor under the language model's part: its matrices read as often as a frame needs them, and nothing else.

Knows shapes only, not weights. The products are PyTorch's of one row, so better kernels than PyTorch's can get below.
"""

import json
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.lm.cpu_pack_file import packed_tensors
from wyoming_qwen3.engine.lm.cpu_tuning import DISTANCES

from .random_weights import SIZES, talker_config
from .systems import Weights

Shape = tuple[int, int]


_PASSES = 10


def measure(weights: Weights) -> tuple[float, float]:
    """Milliseconds of one frame's matrix-vector products in the order of a frame, and the Gparam/s that is.

    The fastest of some passes: a floor is what the machine can do when nothing disturbs it.
    """
    shapes = frame_shapes(_talker_config(weights))
    if weights.quantize != "none":
        return _measure_reading(weights, parameters(shapes))
    matrices = [[_filled(shape, weights) for shape in part] for part in shapes]
    vectors = {shape[1]: _filled((1, shape[1]), weights) for part in shapes for shape in part}
    fastest = min(_time_frame(matrices, vectors) for _ in range(_PASSES))
    return 1e3 * fastest, parameters(shapes) / fastest / 1e9


def _measure_reading(weights: Weights, count: int) -> tuple[float, float]:
    """The same of reading as many bytes as the packed weights of a frame have, and doing nothing with them."""
    kernels = weights.load_kernels()
    tensors = packed_tensors(weights.open(), 4 if weights.quantize == "int4" else 8, kernels)
    matrices = {name: tensor for name, tensor in tensors.items() if name.endswith(".data")}
    talker = [tensor for name, tensor in matrices.items() if name.startswith("talker")]
    heads = [tensor for name, tensor in matrices.items() if name.startswith("predictor.heads")]
    shared = [tensor for name, tensor in matrices.items() if name.startswith("predictor") and "heads" not in name]
    fastest = float("inf")
    for number in range(_PASSES * len(DISTANCES)):
        start = perf_counter()
        for tensor in (*talker, *(tensor for head in heads for tensor in (*shared, head))):
            kernels.read_through(tensor, DISTANCES[number % len(DISTANCES)])
        fastest = min(fastest, perf_counter() - start)
    return 1e3 * fastest, count / fastest / 1e9


def frame_shapes(config: Mapping[str, Any]) -> tuple[list[Shape], list[Shape], list[Shape]]:
    """Shapes [out, in] of the matrices of a `talker_config`.

    Those that the talker reads once a frame, those that the code predictor reads for each code, and its heads, of
    which it reads one for each code.
    """
    predictor = config["code_predictor_config"]
    hidden, inner, steps = config["hidden_size"], predictor["hidden_size"], config["num_code_groups"] - 1
    talker = [*_layer_shapes(config), (config["vocab_size"], hidden)]
    projection = [] if hidden == inner else [(inner, hidden)]
    return talker, [*projection, *_layer_shapes(predictor)], [(predictor["vocab_size"], inner)] * steps


def parameters(shapes: tuple[list[Shape], list[Shape], list[Shape]]) -> int:
    """Weights that one frame reads."""
    talker, shared, heads = (sum(out * width for out, width in part) for part in shapes)
    return talker + len(shapes[2]) * shared + heads


def _talker_config(weights: Weights) -> Mapping[str, Any]:
    if weights.checkpoint is None:
        return talker_config(SIZES[weights.size])
    config: Mapping[str, Any] = json.loads((weights.checkpoint / "config.json").read_text(encoding="utf-8"))
    return config["talker_config"]  # type: ignore[no-any-return]


def _layer_shapes(config: Mapping[str, Any]) -> list[Shape]:
    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    attention: list[Shape] = [((heads + 2 * kv_heads) * head, hidden), (hidden, heads * head)]
    perceptron: list[Shape] = [(2 * inner, hidden), (hidden, inner)]
    layers: int = config["num_hidden_layers"]
    return (attention + perceptron) * layers


def _filled(shape: Shape, weights: Weights) -> torch.Tensor:
    return torch.full(shape, 0.01, device=weights.device, dtype=weights.dtype)


@torch.inference_mode()
def _time_frame(matrices: list[list[torch.Tensor]], vectors: dict[int, torch.Tensor]) -> float:
    talker, shared, heads = matrices
    order = [*talker, *(matrix for head in heads for matrix in (*shared, head))]
    _wait(order[0])
    start = perf_counter()
    for matrix in order:
        F.linear(vectors[matrix.shape[1]], matrix)
    _wait(order[0])
    return perf_counter() - start


def _wait(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
