"""The two steps over slots, `talk` and `frame`, as launches of our own kernels; see Slots for what they do.

Importing this module needs Triton. All tensors are where Slots put them, so the steps can be captured.
"""

from typing import Any

import torch
from torch import Tensor, nn

from wyoming_qwen3.engine.lm.predictor import CodePredictor
from wyoming_qwen3.engine.lm.sampling import FRAMES_BEFORE_END
from wyoming_qwen3.engine.lm.talker import Talker
from wyoming_qwen3.engine.lm.transformer import Transformer

from .kernels.draw import draw_first, draw_residual
from .kernels.product import project
from .kernels.rows import add_rows, copy_rows, norm_rows
from .launches import KernelBlocks, Launch, power_of_two
from .slot_tensors import SlotTensors
from .stack import FusedStack
from .weights import FusedLinear, NormWeight, stack_weights


class FusedSteps:
    """The steps of one checkpoint over the slots in `slots`, launched by `launch`."""

    def __init__(
        self,
        talker: Talker,
        predictor: CodePredictor,
        slots: SlotTensors,
        launch: Launch,
        blocks: KernelBlocks | None = None,
    ) -> None:
        assert isinstance(talker.transformer, Transformer)
        self._launch, self._blocks, self._slots = launch, blocks or KernelBlocks(), slots
        self._end: int = talker.config.codec_eos_token_id
        talker_stack, predictor_stack = stack_weights(talker.transformer), stack_weights(predictor.transformer)
        self._talker_gain, self._predictor_gain = talker_stack.gain, predictor_stack.gain
        self._head, self._heads = FusedLinear.of(talker.head), [FusedLinear.of(head) for head in predictor.heads]
        embeddings: list[Any] = [predictor.first_embedding, *predictor.embeddings]
        self._tables: list[Tensor] = [embedding.weight for embedding in embeddings]
        narrows = isinstance(predictor.projection, nn.Linear)
        self._projection = FusedLinear.of(predictor.projection) if narrows else None
        rows = len(slots.codes)
        self._talker = FusedStack(talker_stack, slots.cache, launch, self._blocks)
        cache = predictor.transformer.new_cache(predictor.codebooks, rows)
        self._predictor = FusedStack(predictor_stack, cache, launch, self._blocks)
        self._allocate(rows)

    def _allocate(self, rows: int) -> None:
        like, width = self._talker_gain.weight, len(self._talker_gain.weight)
        self._talker_states = like.new_empty(rows, width)
        self._states = like.new_empty(rows, len(self._predictor_gain.weight))
        self._inputs = like.new_empty(rows, width) if self._projection else self._states
        self._totals = torch.empty(rows, width, dtype=torch.float32, device=like.device)
        sizes = len(self._head.weight), len(self._heads[0].weight)
        self._first_logits, self._logits = (torch.empty(rows, n, device=like.device) for n in sizes)
        places = torch.arange(len(self._tables), device=like.device)
        self._places = places[:, None].repeat(1, rows)
        """The positions of all rows at each step of the code predictor, int64 [16, rows]."""

    def talk(self, rows: int) -> None:
        """Run the talker of the first `rows` slots."""
        slots, states = self._slots, self._talker_states
        positions, _, talks, _ = slots.parts
        width = states.shape[1]
        row = {"WIDTH": width, "BLOCK": power_of_two(width)}
        self._launch(add_rows, (rows,), slots.sums, slots.text, states, **row)
        self._talker.advance(rows, states, positions)
        gain = self._talker_gain
        self._launch(norm_rows, (rows,), states, gain.weight, talks, slots.hidden, EPS=gain.eps, **row)

    def frame(self, rows: int) -> None:
        """Sample a frame for each of the first `rows` slots."""
        self._enter(rows, self._slots.hidden)
        self._predictor.advance(rows, self._states, self._places[0], cache_only=True)
        self._project(rows, self._slots.hidden, self._head, self._first_logits)
        self._draw_first(rows)
        for number, head in enumerate(self._heads, start=1):
            if self._projection:
                self._enter(rows, self._inputs)
            self._predictor.advance(rows, self._states, self._places[number])
            self._project(rows, self._states, head, self._logits, self._predictor_gain)
            self._draw_residual(rows, number)

    def _enter(self, rows: int, source: Tensor) -> None:
        """Make rows of the talker's width [rows, width] the code predictor's next inputs."""
        if self._projection:
            self._project(rows, source, self._projection, self._states)
        else:
            width = source.shape[1]
            self._launch(copy_rows, (rows,), source, self._states, WIDTH=width, BLOCK=power_of_two(width))

    def _project(self, rows: int, x: Tensor, layer: FusedLinear, out: Tensor, gain: NormWeight | None = None) -> None:
        """Compute out = layer(norm(x)), without a norm if there is no gain."""
        weight, bias = layer.weight, layer.bias
        shape = self._blocks.of(rows, weight, layer.scales)
        self._launch(
            project,
            (len(weight) // shape["BLOCK_OUTPUTS"],),
            *(x, gain.weight if gain else weight, *layer.tensors, weight if bias is None else bias, out),
            EPS=gain.eps if gain else 0.0,
            NORMED=gain is not None,
            BIASED=bias is not None,
            **shape,
        )

    def _draw_first(self, rows: int) -> None:
        slots, warps, ids = self._slots, self._slots.first_warps, self._first_logits.shape[1]
        _, drawn, _, speaks = slots.parts
        self._launch(
            draw_first,
            (rows,),
            *(self._first_logits, slots.first_noise, warps.temperature, warps.kept, warps.tail),
            *(slots.seen, slots.penalty, slots.banned, drawn, speaks),
            *(self._tables[0], self._inputs, self._totals, slots.codes),
            END=self._end,
            FRAMES_BEFORE_END=FRAMES_BEFORE_END,
            NOISE_STRIDE=slots.first_noise.stride(0),
            **self._draw_shape(ids),
        )

    def _draw_residual(self, rows: int, number: int) -> None:
        slots, warps, ids = self._slots, self._slots.other_warps, self._logits.shape[1]
        self._launch(
            draw_residual,
            (rows,),
            *(self._logits, slots.other_noise[:, number - 1], warps.temperature, warps.kept, warps.tail),
            *(slots.parts[3], self._tables[number], self._inputs, self._totals, slots.sums, slots.codes[:, number:]),
            LAST=number == len(self._heads),
            NOISE_STRIDE=slots.other_noise.stride(0),
            **self._draw_shape(ids),
        )

    def _draw_shape(self, ids: int) -> dict[str, int]:
        width = self._totals.shape[1]
        return {
            "CODEBOOKS": self._slots.codes.shape[1],
            "IDS": ids,
            "BLOCK_IDS": power_of_two(ids),
            "WIDTH": width,
            "BLOCK_WIDTH": power_of_two(width),
        }
