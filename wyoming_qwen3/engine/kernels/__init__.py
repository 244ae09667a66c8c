"""The C++ kernels for CPUs, for the language model and the codec: their sources, compilation, and use from Python.

`python -m wyoming_qwen3.engine.kernels` compiles them for all kinds of processor of this machine's family; the one that
fits the processor is chosen when it is loaded.
"""
