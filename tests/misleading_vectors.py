"""Vectors of which the worse ones seem better to the products of rounded numbers.

All numbers but `inexact` are exact in bf16.
"""

import torch

H = 64

sign = torch.ones(H)
sign[1::2] = -1
inexact = 1 + sign * 2.0**-10  # 1 in bf16


def worse(size):
    """300 unlike vectors of one number, from `size` to its double."""
    vectors = torch.zeros(300, H)
    number = torch.arange(300)
    vectors[number, 2 * (number // 100)] = size * (1 + (number % 100) / 128)
    return vectors


def better(vector):
    """10 nearly equal vectors."""
    vectors = vector.repeat(10, 1)
    vectors[range(10), range(20, 40, 2)] *= 1 + 2.0**-7
    return vectors
