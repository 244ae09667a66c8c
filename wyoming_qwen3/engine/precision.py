"""In what precision a device computes, and by which of PyTorch's ways: the one place where it is chosen.

Norms and softmax are float32 inside whatever the type of weights, and so is the codec as a whole.
"""

import torch


def language_model_type(wanted: str, device: str) -> torch.dtype:
    """Type of talker and code predictor for `--dtype`: on a GPU bfloat16, since float16 overflows in them."""
    if wanted == "auto":
        return torch.float32 if device == "cpu" else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]


def compute_exactly() -> None:
    """Have a GPU compute float32 in float32, not TF32, and sum bfloat16 products in float32.

    Attention is PyTorch's own but for cuDNN's, which plans anew, in tens of milliseconds, for each length of a prompt.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.enable_cudnn_sdp(False)
