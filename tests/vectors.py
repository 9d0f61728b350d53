"""Random vectors."""

import torch


def scaled(x):
    x = torch.as_tensor(x).double()
    lengths = x.norm(dim=1, keepdim=True)
    return (x / lengths.where(lengths > 0, 1)).float()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)
