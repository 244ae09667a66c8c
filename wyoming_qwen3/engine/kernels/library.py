"""Calls the compiled kernels from Python. Knows pointers and shapes; structures.py has the memory layouts.

Every call that computes raises MemoryError if memory does not suffice; its outputs are undefined then.
"""

import ctypes
import logging
from collections.abc import Callable, Iterable, Sequence
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3.engine.memory import huge_pages

from .build import ProcessorKind, kinds_here, library_file
from .structures import (
    CodecTransformerStruct,
    ConvolutionStruct,
    LinearStruct,
    PastStruct,
    PredictorStruct,
    StackStruct,
    StreamStruct,
    TokenStruct,
    WarpStruct,
    check_layouts,
)

_LOGGER = logging.getLogger("wyoming_qwen3.engine")


class Kernels:
    """A loaded library and its worker threads; calls from several threads run one after the other."""

    def __init__(self, file: Path, threads: int) -> None:
        library = ctypes.CDLL(str(file))
        check_layouts(library)
        library.kind.restype = c_char_p
        library.crew_new.restype = c_void_p
        library.crew_new.argtypes = [c_int32]
        library.crew_delete.argtypes = [c_void_p]
        library.crew_limit.argtypes = [c_void_p, c_int32]
        library.stack_advance.argtypes = [c_void_p, POINTER(StackStruct), POINTER(TokenStruct), c_int32, c_void_p]
        library.linear_round.argtypes = [c_void_p, c_int32, c_int32, c_void_p, c_void_p, c_void_p]
        library.linear_apply.argtypes = [c_void_p, POINTER(LinearStruct), c_int32, c_void_p, c_void_p]
        library.predictor_frame.argtypes = [
            *(c_void_p, POINTER(PredictorStruct), c_int32, c_void_p, POINTER(WarpStruct), c_void_p, c_void_p, c_void_p)
        ]
        library.convolution_apply.argtypes = [c_void_p, POINTER(ConvolutionStruct), POINTER(StreamStruct), c_int32]
        library.residual_apply.argtypes = [
            *(c_void_p, POINTER(ConvolutionStruct), POINTER(ConvolutionStruct), POINTER(StreamStruct), c_int32)
        ]
        library.codec_transformer_apply.argtypes = [
            *(c_void_p, POINTER(CodecTransformerStruct), POINTER(PastStruct), c_int32, c_int32, c_void_p)
        ]
        library.codec_transformer_head_width.argtypes = [POINTER(CodecTransformerStruct)]
        library.convolution_size.restype = c_int64
        library.convolution_size.argtypes = [POINTER(ConvolutionStruct)]
        library.convolution_row_width.argtypes = [POINTER(ConvolutionStruct)]
        library.convolution_pack.argtypes = [
            *(c_void_p, POINTER(ConvolutionStruct), c_int32, c_int32, c_void_p, c_void_p, c_void_p)
        ]
        library.read_through.argtypes = [c_void_p, c_void_p, c_int64, c_int32, POINTER(c_uint64)]
        self.kind: str = library.kind().decode()
        if not library.allowed():
            raise OSError(f"the system does not allow programs to use the instructions that {self.kind} needs")
        self.threads = threads
        self._library = library
        self._crew = library.crew_new(threads)
        if not self._crew:
            raise OSError(f"the system can't start {threads} threads")

    def limit(self, threads: int) -> None:
        """Let only so many worker threads, at least 1, do the work from now on; a call that runs may follow later."""
        self._library.crew_limit(self._crew, threads)

    def _call(self, function: Callable[..., int], *arguments: object) -> None:
        if function(self._crew, *arguments):
            raise MemoryError("The CPU kernels ran out of memory.")

    def __del__(self) -> None:
        if crew := getattr(self, "_crew", None):
            self._library.crew_delete(crew)

    def advance(self, stack: StackStruct, tokens: Sequence[TokenStruct], states: Tensor) -> None:
        """Turn inputs float32 [tokens, hidden] into hidden states in place, and write the tokens' keys and values."""
        array = (TokenStruct * len(tokens))(*tokens)
        self._call(self._library.stack_advance, byref(stack), array, len(tokens), _pointer(states))

    def round(self, weight: Tensor, data: Tensor, scales: Tensor) -> None:
        """Round a matrix float32 [outputs, inputs], both multiples of 32, to 4 bits: uint8 `data`, float32 `scales`."""
        outputs, inputs = weight.shape
        pointers = (_pointer(tensor) for tensor in (weight, data, scales))
        self._call(self._library.linear_round, outputs // 32, inputs, *pointers)

    def apply(self, linear: LinearStruct, rows: Tensor) -> Tensor:
        """float32 [rows, inputs] -> [rows, outputs]."""
        outputs = torch.empty(len(rows), linear.outputs)
        self._call(self._library.linear_apply, byref(linear), len(rows), _pointer(rows), _pointer(outputs))
        return outputs

    def frame(
        self, predictor: PredictorStruct, hidden: Tensor, firsts: Tensor, warps: Sequence[WarpStruct], uniforms: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Complete a frame of each row; `uniforms` [rows, codebooks - 1] in [0, 1) are the random numbers of the draws.

        Returns codes int64 [rows, codebooks] and the sums of their embeddings [rows, width].
        """
        rows = len(firsts)
        codes = torch.empty(rows, predictor.codebooks, dtype=torch.int64)
        codes[:, 0] = firsts
        sums = torch.empty(rows, predictor.width)
        array = (WarpStruct * rows)(*warps)
        self._call(
            self._library.predictor_frame,
            *(byref(predictor), rows, _pointer(hidden), array),
            *(_pointer(uniforms), _pointer(codes), _pointer(sums)),
        )
        return codes, sums

    def pack(self, layer: ConvolutionStruct, parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Return weights in the kernels' layout and their scales, for `layer.weights` and `layer.scales` to point to.

        Each part, float32 [n, inputs, taps], has the weights of the next n outputs.
        """
        packed, scales = huge_pages(self._library.convolution_size(byref(layer))), torch.zeros(layer.outputs)
        first = 0
        for part in parts:
            pointers = (_pointer(tensor) for tensor in (part, packed, scales))
            self._call(self._library.convolution_pack, byref(layer), first, len(part), *pointers)
            first += len(part)
        return packed, scales

    def history(self, layer: ConvolutionStruct) -> Tensor:
        """Return the history at the start of a signal."""
        return torch.zeros((layer.taps - 1) * layer.dilation, self._library.convolution_row_width(byref(layer)))

    def convolve(self, layer: ConvolutionStruct, x: Tensor, histories: Sequence[Tensor]) -> Tensor:
        """Convolve float32 [steps, inputs] -> [steps, outputs]: equal pieces, one per history; update the histories."""
        out = x.new_empty(len(x), layer.outputs)
        streams = _streams(x, histories, out)
        self._call(self._library.convolution_apply, byref(layer), streams, len(streams))
        return out

    def refine(
        self, wide: ConvolutionStruct, narrow: ConvolutionStruct, x: Tensor, histories: Sequence[Tensor]
    ) -> None:
        """Apply a residual unit of two convolutions to x [steps, channels] in place; pieces as for `convolve`."""
        streams = _streams(x, histories, x)
        self._call(self._library.residual_apply, byref(wide), byref(narrow), streams, len(streams))

    def past(self, stack: CodecTransformerStruct) -> Tensor:
        """Return the keys and values at the start of a stream, float32."""
        width = self._library.codec_transformer_head_width(byref(stack))
        return torch.zeros(stack.count, 2, stack.kv_heads, stack.window - 1, width)

    def transform(self, stack: CodecTransformerStruct, x: Tensor, pasts: Sequence[tuple[Tensor, int]]) -> None:
        """Turn inputs float32 [steps, hidden] into hidden states in place: equal pieces, one per (past, position)."""
        array = (PastStruct * len(pasts))(*(PastStruct(_pointer(rows), position) for rows, position in pasts))
        steps = len(x) // len(pasts)
        self._call(self._library.codec_transformer_apply, byref(stack), array, len(pasts), steps, _pointer(x))

    def read_through(self, memory: Tensor, ahead: int) -> None:
        """Read memory as fast as the worker threads can; `ahead` is as in LinearStruct."""
        self._call(self._library.read_through, _pointer(memory), memory.nbytes, ahead, byref(c_uint64()))


def load_kernels(threads: int, kind: str | None = None) -> Kernels | None:
    """Load the fastest kernels that are compiled and can run here, or those of `kind`; None if there are none."""
    for candidate in kinds_here():
        if kind in (None, candidate.name) and (kernels := _load(candidate, threads)):
            return kernels
    return None


def _load(kind: ProcessorKind, threads: int) -> Kernels | None:
    file = library_file(kind)
    if not file.exists():
        return None
    try:
        return Kernels(file, threads)
    except OSError as error:
        _LOGGER.warning("The CPU kernels can't be loaded: %s", error)
        return None


def _streams(x: Tensor, histories: Sequence[Tensor], out: Tensor) -> Any:
    pieces = zip(x.chunk(len(histories)), histories, out.chunk(len(histories)), strict=True)
    return (StreamStruct * len(histories))(*(StreamStruct(*map(_pointer, piece), len(piece[0])) for piece in pieces))


def _pointer(tensor: Tensor) -> Any:
    assert tensor.is_contiguous()
    return tensor.data_ptr()
