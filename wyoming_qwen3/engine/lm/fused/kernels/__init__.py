"""The Triton kernels. Importing a module of this folder needs Triton, so only `steps.py` and `stack.py` do it."""
