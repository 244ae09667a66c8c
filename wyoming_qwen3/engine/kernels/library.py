"""The compiled kernels as Python calls them: memory layouts shared with the C++ sources, and the functions.

Knows pointers and shapes. Whoever makes a structure keeps the tensors that it points to.
"""

import ctypes
import logging
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_char_p, c_float, c_int32, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from wyoming_qwen3.engine.memory import huge_pages

from .build import Kind, kinds_here, library_file

_LOGGER = logging.getLogger("wyoming_qwen3.engine")


class Linear(Structure):
    """linear.h, Linear."""

    _fields_: ClassVar = [
        ("weights", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("outputs", c_int32),
        ("inputs", c_int32),
        ("bits", c_int32),
        ("blocks", c_int32),
    ]


class Layer(Structure):
    """stack.h, Layer."""

    _fields_: ClassVar = [
        ("qkv", Linear),
        ("out", Linear),
        ("gate_up", Linear),
        ("down", Linear),
        ("attention_norm", c_void_p),
        ("query_norm", c_void_p),
        ("key_norm", c_void_p),
        ("mlp_norm", c_void_p),
    ]


class Stack(Structure):
    """stack.h, Stack."""

    _fields_: ClassVar = [
        ("layers", POINTER(Layer)),
        ("norm", c_void_p),
        ("cosines", c_void_p),
        ("sines", c_void_p),
        ("count", c_int32),
        ("hidden", c_int32),
        ("inner", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("eps", c_float),
    ]


class Token(Structure):
    """stack.h, Token."""

    _fields_: ClassVar = [
        ("keys", c_void_p),
        ("values", c_void_p),
        ("capacity", c_int32),
        ("position", c_int32),
    ]


class Warp(Structure):
    """sampling.h, Warp."""

    _fields_: ClassVar = [("temperature", c_float), ("top_p", c_float), ("top_k", c_int32)]


class Table(Structure):
    """kernels.cpp, Table."""

    _fields_: ClassVar = [("rows", c_void_p), ("bfloat16", c_int32)]


class Predictor(Structure):
    """kernels.cpp, Predictor."""

    _fields_: ClassVar = [
        ("stack", Stack),
        ("projection", Linear),
        ("heads", POINTER(Linear)),
        ("tables", POINTER(Table)),
        ("codebooks", c_int32),
        ("width", c_int32),
    ]


class Convolution(Structure):
    """convolution.h, Convolution."""

    _fields_: ClassVar = [
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("frequencies", c_void_p),
        ("gains", c_void_p),
        ("inputs", c_int32),
        ("outputs", c_int32),
        ("taps", c_int32),
        ("dilation", c_int32),
    ]


class Stream(Structure):
    """convolution.h, Stream."""

    _fields_: ClassVar = [
        ("input", c_void_p),
        ("history", c_void_p),
        ("output", c_void_p),
        ("steps", c_int32),
    ]


class CodecLayer(Structure):
    """codec_transformer.h, CodecLayer."""

    _fields_: ClassVar = [
        ("qkv", Convolution),
        ("out", Convolution),
        ("gate_up", Convolution),
        ("down", Convolution),
        ("attention_norm", c_void_p),
        ("mlp_norm", c_void_p),
    ]


class CodecTransformer(Structure):
    """codec_transformer.h, CodecTransformer."""

    _fields_: ClassVar = [
        ("layers", POINTER(CodecLayer)),
        ("norm", c_void_p),
        ("frequencies", c_void_p),
        ("count", c_int32),
        ("hidden", c_int32),
        ("inner", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("window", c_int32),
        ("eps", c_float),
    ]


class Past(Structure):
    """codec_transformer.h, Past."""

    _fields_: ClassVar = [("rows", c_void_p), ("position", c_int64)]


class Kernels:
    """A loaded library and a crew of threads; calls from several threads come one after the other."""

    def __init__(self, file: Path, threads: int) -> None:
        library = ctypes.CDLL(str(file))
        library.kind.restype = c_char_p
        library.crew_new.restype = c_void_p
        library.read_through.restype = c_uint64
        library.crew_new.argtypes = [c_int32]
        library.crew_delete.argtypes = [c_void_p]
        library.stack_advance.argtypes = [c_void_p, POINTER(Stack), POINTER(Token), c_int32, c_void_p]
        library.linear_apply.argtypes = [c_void_p, POINTER(Linear), c_int32, c_void_p, c_void_p]
        library.predictor_frame.argtypes = [
            *(c_void_p, POINTER(Predictor), c_int32, c_void_p, POINTER(Warp), c_void_p, c_void_p, c_void_p)
        ]
        library.convolution_apply.argtypes = [c_void_p, POINTER(Convolution), POINTER(Stream), c_int32]
        library.residual_apply.argtypes = [
            *(c_void_p, POINTER(Convolution), POINTER(Convolution), POINTER(Stream), c_int32)
        ]
        library.codec_transformer_apply.argtypes = [
            *(c_void_p, POINTER(CodecTransformer), POINTER(Past), c_int32, c_int32, c_void_p)
        ]
        library.codec_transformer_head_width.argtypes = [POINTER(CodecTransformer)]
        library.convolution_size.restype = c_int64
        library.convolution_size.argtypes = [POINTER(Convolution)]
        library.convolution_row_width.argtypes = [POINTER(Convolution)]
        library.convolution_pack.argtypes = [c_void_p, POINTER(Convolution), c_void_p, c_void_p]
        library.read_through.argtypes = [c_void_p, c_void_p, c_int64]
        self.kind: str = library.kind().decode()
        if not library.allowed():
            raise OSError(f"the system does not let programs use what {self.kind} needs")
        self.threads = threads
        self._library = library
        self._crew = library.crew_new(threads)

    def __del__(self) -> None:
        if crew := getattr(self, "_crew", None):
            self._library.crew_delete(crew)

    def advance(self, stack: Stack, tokens: Sequence[Token], states: Tensor) -> None:
        """Inputs float32 [tokens, hidden] become hidden states in place; keys and values are written."""
        array = (Token * len(tokens))(*tokens)
        self._library.stack_advance(self._crew, byref(stack), array, len(tokens), _pointer(states))

    def apply(self, linear: Linear, rows: Tensor) -> Tensor:
        """float32 [rows, inputs] -> [rows, outputs]."""
        outputs = torch.empty(len(rows), linear.outputs)
        self._library.linear_apply(self._crew, byref(linear), len(rows), _pointer(rows), _pointer(outputs))
        return outputs

    def frame(
        self, predictor: Predictor, hidden: Tensor, firsts: Tensor, warps: Sequence[Warp], uniforms: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Complete a frame of each row, `uniforms` [rows, codebooks - 1] deciding the draws.

        Returns codes int64 [rows, codebooks] and the sums of their embeddings [rows, width].
        """
        rows = len(firsts)
        codes = torch.empty(rows, predictor.codebooks, dtype=torch.int64)
        codes[:, 0] = firsts
        sums = torch.empty(rows, predictor.width)
        array = (Warp * rows)(*warps)
        self._library.predictor_frame(
            *(self._crew, byref(predictor), rows, _pointer(hidden), array),
            *(_pointer(uniforms), _pointer(codes), _pointer(sums)),
        )
        return codes, sums

    def pack(self, layer: Convolution, weight: Tensor) -> Tensor:
        """Weights float32 [outputs, inputs, taps] as the kernels multiply them, for `layer.weights` to point to."""
        packed = huge_pages(4 * self._library.convolution_size(byref(layer))).view(torch.float32)
        self._library.convolution_pack(self._crew, byref(layer), _pointer(weight), _pointer(packed))
        return packed

    def history(self, layer: Convolution) -> Tensor:
        """History of a signal's start."""
        return torch.zeros((layer.taps - 1) * layer.dilation, self._library.convolution_row_width(byref(layer)))

    def convolve(self, layer: Convolution, x: Tensor, histories: Sequence[Tensor]) -> Tensor:
        """float32 [steps, inputs] -> [steps, outputs]: a piece of as many steps for each history, which moves on."""
        out = x.new_empty(len(x), layer.outputs)
        streams = _streams(x, histories, out)
        self._library.convolution_apply(self._crew, byref(layer), streams, len(streams))
        return out

    def refine(self, wide: Convolution, narrow: Convolution, x: Tensor, histories: Sequence[Tensor]) -> Tensor:
        """[steps, channels] -> the same, through a residual unit of two convolutions; pieces as for `convolve`."""
        out = torch.empty_like(x)
        streams = _streams(x, histories, out)
        self._library.residual_apply(self._crew, byref(wide), byref(narrow), streams, len(streams))
        return out

    def past(self, stack: CodecTransformer) -> Tensor:
        """Keys and values of a stream's start, float32."""
        width = self._library.codec_transformer_head_width(byref(stack))
        return torch.zeros(stack.count, 2, stack.kv_heads, stack.window - 1, width)

    def transform(self, stack: CodecTransformer, x: Tensor, pasts: Sequence[tuple[Tensor, int]]) -> None:
        """Inputs float32 [steps, hidden] become hidden states in place, as many of each past and its place."""
        array = (Past * len(pasts))(*(Past(_pointer(rows), position) for rows, position in pasts))
        steps = len(x) // len(pasts)
        self._library.codec_transformer_apply(self._crew, byref(stack), array, len(pasts), steps, _pointer(x))

    def read_through(self, memory: Tensor) -> None:
        """Read memory as fast as the crew can."""
        self._library.read_through(self._crew, _pointer(memory), memory.nbytes)


def load_kernels(threads: int, kind: str | None = None) -> Kernels | None:
    """The fastest kernels that are compiled and can run here, or those of a kind; None if there are none."""
    for candidate in kinds_here():
        if kind in (None, candidate.name) and (kernels := _load(candidate, threads)):
            return kernels
    return None


def _load(kind: Kind, threads: int) -> Kernels | None:
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
    return (Stream * len(histories))(*(Stream(*map(_pointer, piece), len(piece[0])) for piece in pieces))


def _pointer(tensor: Tensor) -> Any:
    assert tensor.is_contiguous()
    return tensor.data_ptr()
