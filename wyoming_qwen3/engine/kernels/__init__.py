"""The language model's part of a frame in C++, for CPUs: its sources, their compilation, and their use from Python.

`python -m wyoming_qwen3.engine.kernels` compiles them for all kinds of processor of this machine's family; what fits
the processor is chosen when it is loaded.
"""
