"""The language model in 8 or 4 bits on a CPU: talker layers and code predictor on compiled kernels.

While transformer.py and predictor.py are exact, here weights were rounded once, and activations are rounded in groups
of 32 in each call. A row's results do not depend on the rows beside it. Knows what the kernels need; does NOT know
files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.kernels import structures
from wyoming_qwen3.engine.kernels.library import Kernels

from .cpu_packing import BLOCK, packed_sizes
from .sampling import Sampler
from .transformer import KvCache, rotary_table

_LANES = 16
"""Most numbers that a kernel processes at once; head_dim must be a multiple of it."""

_TOKENS_AT_ONCE = 64
"""Most tokens of a long prompt in one kernel call; more are not faster and need more memory."""


@dataclass(frozen=True, eq=False)
class Pack:
    """The tensors of a pack; `ahead` is how far ahead the kernels prefetch weights, in bytes."""

    tensors: Mapping[str, Tensor]
    ahead: int = 0


class QuantizedLinear:
    """A linear layer with a matrix of a pack; the bias is optional."""

    def __init__(self, kernels: Kernels, pack: Pack, name: str, outputs: int, inputs: int) -> None:
        self._kernels = kernels
        self.layout = _linear(pack, name, outputs, inputs)
        self._kept = pack

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [rows, inputs] -> [rows, outputs]."""
        return self._kernels.apply(self.layout, x.contiguous())


class QuantizedTransformer:
    """A stack of decoder layers, used like transformer.Transformer, for caches of one row each.

    The stack uses the pack's tensors whose names begin with `prefix`. Raises ModelFailed if the layers are of a variant
    that no published checkpoint has.
    """

    splits_exactly = True

    def __init__(self, kernels: Kernels, pack: Pack, prefix: str, config: Any, positions: int) -> None:
        plain = not config.attention_bias and config.sliding_window is None and config.hidden_act == "silu"
        if not plain or config.head_dim % _LANES:
            raise ModelFailed(
                "The checkpoint has decoder layers of a kind that can't be quantized; use --quantize none."
            )
        self._kernels = kernels
        self._kept = pack
        self._config = config
        self._tables = rotary_table(positions, config.head_dim, config.rope_theta)
        layers = [_layer(pack, f"{prefix}{number}.", config) for number in range(config.num_hidden_layers)]
        self.layout = structures.StackStruct(
            layers=(structures.LayerStruct * len(layers))(*layers),
            norm=pack.tensors[f"{prefix}norm"].data_ptr(),
            cosines=self._tables[0].data_ptr(),
            sines=self._tables[1].data_ptr(),
            count=len(layers),
            hidden=config.hidden_size,
            inner=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            eps=config.rms_norm_eps,
        )

    def new_cache(self, capacity: int, rows: int = 1) -> KvCache:
        """Return an empty cache, bfloat16; only caches of one row can be advanced."""
        config = self._config
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, capacity, config.head_dim)
        keys = torch.empty(shape, dtype=torch.bfloat16)
        return KvCache(keys, torch.empty_like(keys))

    def __call__(self, x: Tensor, caches: Sequence[KvCache]) -> Tensor:
        """Advance sequences by some tokens: [rows, tokens, hidden] -> the same shape, after the final norm."""
        rows, tokens, _ = x.shape
        for cache in caches:
            cache.reserve(cache.length + tokens)
        states = x.float().clone(memory_format=torch.contiguous_format)
        flat = states.view(rows * tokens, -1)
        places = [_token(cache, cache.length + token) for cache in caches for token in range(tokens)]
        for start in range(0, len(places), _TOKENS_AT_ONCE):
            part = slice(start, start + _TOKENS_AT_ONCE)
            self._kernels.advance(self.layout, places[part], flat[part])
        for cache in caches:
            cache.length += tokens
        return states


class QuantizedPredictor:
    """The code predictor, used like predictor.CodePredictor; the 15 steps of a frame are one kernel call.

    Sampling follows the rules of sampling.py with random numbers from the row's own generator, but uses them in another
    way than torch. A seed gives the same speech each time, but not the same as without quantization.
    """

    def __init__(self, kernels: Kernels, pack: Pack, config: Any) -> None:
        """`config` is the checkpoint's TalkerConfig."""
        own = config.code_predictor_config
        self.codebooks: int = config.num_code_groups
        self._kernels = kernels
        self._tables = [pack.tensors[f"predictor.tables.{number}"] for number in range(self.codebooks)]
        self._transformer = QuantizedTransformer(kernels, pack, "predictor.", own, self.codebooks)
        hidden = own.hidden_size
        heads = [_linear(pack, f"predictor.heads.{i}", own.vocab_size, hidden) for i in range(self.codebooks - 1)]
        tables = [structures.TableStruct(table.data_ptr(), table.dtype == torch.bfloat16) for table in self._tables]
        projects = config.hidden_size != hidden
        self._layout = structures.PredictorStruct(
            stack=self._transformer.layout,
            projection=_linear(pack, "predictor.projection", hidden, config.hidden_size)
            if projects
            else structures.LinearStruct(),
            heads=(structures.LinearStruct * len(heads))(*heads),
            tables=(structures.TableStruct * len(tables))(*tables),
            codebooks=self.codebooks,
            width=config.hidden_size,
        )

    def frame(self, hidden: Tensor, first_codes: Tensor, samplers: Sequence[Sampler]) -> tuple[Tensor, Tensor]:
        """Complete one frame of each row; see CodePredictor.frame.

        Raises ValueError if `hidden` is not finite: the kernels would then draw a code outside their tables.
        """
        if not hidden.isfinite().all():
            raise ValueError("The talker's state has numbers that are not finite.")
        warps = [sampler.choice.predictor for sampler in samplers]
        layouts = [structures.WarpStruct(warp.temperature, warp.top_p, warp.top_k) for warp in warps]
        uniforms = torch.stack([torch.rand(self.codebooks - 1, generator=sampler.generator) for sampler in samplers])
        return self._kernels.frame(self._layout, hidden.contiguous(), first_codes, layouts, uniforms)

    def embed(self, codes: Tensor) -> Tensor:
        """Return the sums of the embeddings [frames, hidden] of complete frames int64 [frames, 16]."""
        embedded = [table[column].float() for table, column in zip(self._tables, codes.unbind(1), strict=True)]
        return torch.stack(embedded, dim=1).sum(1)


def _token(cache: KvCache, position: int) -> structures.TokenStruct:
    assert cache.rows == 1
    return structures.TokenStruct(cache.keys.data_ptr(), cache.values.data_ptr(), cache.capacity, position)


def _linear(pack: Pack, name: str, outputs: int, inputs: int) -> structures.LinearStruct:
    data, bias = pack.tensors[f"{name}.data"], pack.tensors.get(f"{name}.bias")
    return structures.LinearStruct(
        weights=data.data_ptr(),
        scales=pack.tensors[f"{name}.scales"].data_ptr(),
        bias=None if bias is None else bias.data_ptr(),
        outputs=outputs,
        inputs=inputs,
        bits=next(bits for bits in (8, 4) if packed_sizes(outputs, inputs, bits)[0] == len(data)),
        blocks=-(-outputs // BLOCK),
        ahead=pack.ahead,
    )


def _layer(pack: Pack, name: str, config: Any) -> structures.LayerStruct:
    hidden, inner, dim = config.hidden_size, config.intermediate_size, config.head_dim
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    norms = {
        norm: pack.tensors[f"{name}{norm}"].data_ptr()
        for norm in ("attention_norm", "query_norm", "key_norm", "mlp_norm")
    }
    return structures.LayerStruct(
        queries_keys=_linear(pack, f"{name}queries_keys", (heads + kv_heads) * dim, hidden),
        values=_linear(pack, f"{name}values", kv_heads * dim, hidden),
        out=_linear(pack, f"{name}out", hidden, heads * dim),
        gate_up=_linear(pack, f"{name}gate_up", 2 * inner, hidden),
        down=_linear(pack, f"{name}down", hidden, inner),
        **norms,
    )
