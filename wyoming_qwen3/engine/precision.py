"""Chooses the precision in which a device computes, and PyTorch's settings for it; no other module does.

Norms and softmax compute in float32 internally, whatever the dtype of the weights; the whole codec is float32.
"""

import torch


def language_model_type(wanted: str, device: str) -> torch.dtype:
    """Return the dtype of talker and code predictor for `--dtype`; auto is float32 on a CPU, bfloat16 on a GPU.

    float16 is not offered, because it overflows in them.
    """
    if wanted == "auto":
        return torch.float32 if device == "cpu" else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]


def compute_exactly() -> None:
    """Make a GPU compute float32 in float32, not TF32, and sum bfloat16 products in float32.

    Also disables cuDNN's attention, which takes tens of milliseconds to plan for each new prompt length.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.enable_cudnn_sdp(False)
