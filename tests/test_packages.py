import re
import subprocess
import sys

UNUSED = {
    ("qwen-tts", "accelerate"),
    ("qwen-tts", "gradio"),
    ("qwen-tts", "sox"),
    ("qwen-tts", "torchaudio"),
    ("qwen-tts", "einops"),
    ("huggingface-hub", "fsspec"),
    ("huggingface-hub", "hf-xet"),
    ("librosa", "scikit-learn"),
    ("torch", "fsspec"),
    ("torch", "jinja2"),
    ("torch", "networkx"),
    ("torch", "setuptools"),
    ("onnxruntime", "flatbuffers"),
    ("onnxruntime", "protobuf"),
    ("cffi", "pycparser"),
}
"""What packages ask for and is never used here."""


def test_the_pinned_packages_have_what_they_need() -> None:
    """The lists are installed without dependencies, so they must be complete."""
    check = [sys.executable, "-m", "pip", "check"]
    said = subprocess.run(check, capture_output=True, text=True, check=False).stdout
    missing = set(re.findall(r"^(\S+) \S+ requires (\S+), which is not installed", said, re.MULTILINE))
    assert missing - UNUSED == set()
    assert "has requirement" not in said
