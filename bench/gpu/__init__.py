"""`script/gpu-check`: what only a GPU can show of the engine, in one command of under ten minutes."""
