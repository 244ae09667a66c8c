"""The language model: text to codec codes.

Plain files compute with PyTorch on any device, cpu_* with our own kernels, gpu_* with CUDA graphs.
"""
