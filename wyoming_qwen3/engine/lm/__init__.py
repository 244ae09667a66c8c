"""The language model: text to codec codes.

Plain files compute with PyTorch on any device, cpu_* with our kernels, gpu_* as CUDA graphs.
"""
