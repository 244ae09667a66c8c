"""Chooses the precision in which a device computes, and PyTorch's settings for it; no other module does.

Norms and softmax compute in float32 internally, whatever the dtype of the weights; the whole codec is float32.
"""

import torch

from wyoming_qwen3.core.hardware import Dtype


def torch_type(dtype: Dtype) -> torch.dtype:
    """Return PyTorch's type of talker and code predictor. float16 is not offered, because it overflows in them."""
    return torch.float32 if dtype == "float32" else torch.bfloat16


def compute_exactly() -> None:
    """Make a GPU compute float32 in float32, not TF32, and sum bfloat16 products in float32.

    Also disables cuDNN's attention, which takes tens of milliseconds to plan for each new prompt length.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.enable_cudnn_sdp(False)
