"""PyTorch with `torch.compile` around the same model and loop."""

from functools import partial

import torch
from protocol import serve
from run_torch import prepare

if __name__ == "__main__":
    torch.manual_seed(0)
    serve(partial(prepare, wrap=torch.compile))
