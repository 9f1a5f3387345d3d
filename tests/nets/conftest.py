"""One thread: on a busy machine two are slower, and small products gain nothing."""

import torch

torch.set_num_threads(1)
