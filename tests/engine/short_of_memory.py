"""`python -m tests.engine.short_of_memory KIND`: the kernels in a process whose memory is limited.

Prints who ran out of it, the caller or a member of the crew in the middle of a call, and whether the calls after it
give what those before it gave.
"""

import resource
import sys
from pathlib import Path

import torch

from wyoming_qwen3.engine.codec.cpu_kernels import FastLayer, FastLinear
from wyoming_qwen3.engine.kernels.library import Kernels, load_kernels
from wyoming_qwen3.engine.kernels.structures import CodecLayerStruct, CodecTransformerStruct
from wyoming_qwen3.engine.lm.cpu_packing import pack

from .checkpoint.layouts import layout

SPARE = 8 << 20
WINDOW = 400_001
"""Steps that the codec's attention sees: a member then needs 50 MB."""


def main(kind: str) -> None:
    kernels = load_kernels(2, kind)
    assert kernels is not None
    assert kernels.kind == kind
    linear = pack(kernels, torch.randn(1, 32), 8)
    few, many = torch.randn(3, 32), torch.randn(1 << 20, 32)
    stack, kept = transformer(kernels)
    x, pasts = torch.randn(1, 16), [(kernels.past(stack), 0)]

    def compute() -> tuple[torch.Tensor, torch.Tensor]:
        states = x.clone()
        pasts[0][0].zero_()
        kernels.transform(stack, states, pasts)
        return kernels.apply(layout(linear), few), states

    before = kernels.apply(layout(linear), few)
    limit_memory()
    try:
        kernels.apply(layout(linear), many)
    except MemoryError:
        print("caller")
    try:
        compute()
    except MemoryError:
        print("member")
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    after, states = compute()
    again, same = compute()
    if torch.equal(before, after) and torch.equal(after, again) and torch.equal(states, same):
        print("same")
    assert kept


def transformer(kernels: Kernels) -> tuple[CodecTransformerStruct, object]:
    """One layer with one head, so that one member has all of the attention and the other waits for it."""
    products = {
        name: FastLinear(kernels, 0.1 * torch.randn(outputs, 16), None)
        for name, outputs in {"qkv": 48, "out": 16, "gate_up": 32, "down": 16}.items()
    }
    norm, frequencies = torch.ones(16), torch.ones(8)
    layer = FastLayer(norm, norm, **products)
    layers = (CodecLayerStruct * 1)(layer.layout)
    sizes = {"count": 1, "hidden": 16, "inner": 16, "heads": 1, "kv_heads": 1, "head_dim": 16, "window": WINDOW}
    pointers = {"norm": norm.data_ptr(), "frequencies": frequencies.data_ptr()}
    return CodecTransformerStruct(layers=layers, eps=1e-6, **pointers, **sizes), (norm, frequencies, layer)


def limit_memory() -> None:
    """Let this process have a little more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(sys.argv[1])
