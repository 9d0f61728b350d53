"""The device, the precision of matrix products, and Accelerate's view of both."""

import ctypes
import sys
from typing import Literal

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env

from sbert.errors import InputError

Precision = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of "auto" is bf16 where the hardware multiplies it natively (CUDA from Ampere on, AMX and AVX512-BF16
    processors), fp32 elsewhere."""
    if precision not in ("auto", *DTYPES):
        raise InputError(
            f"precision: unknown value '{precision}'; known: auto, {', '.join(DTYPES)}"
        )
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        return (
            torch.bfloat16
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else torch.float16
        )
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32


def make_accelerator(precision: str) -> Accelerator:
    """Accelerate's view of the machine and the processes, with `precision` resolved for its device."""
    # told so, Accelerate makes processes on a CPU a group too; otherwise each would train alone without a word
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    device = PartialState(cpu=cpu).device
    dtype = resolve_precision(precision, device)
    if dtype == torch.float16 and device.type == "cpu":
        raise InputError(
            "loop.precision fp16 trains on a GPU alone; on a CPU use bf16, fp32 or auto"
        )
    names = {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return Accelerator(mixed_precision=names[dtype], cpu=cpu)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next step, instead of giving it to the kernel and faulting it in again.

    Every step frees and takes hundreds of megabytes of gradients and activations: a tenth of its time on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:  # other C libraries have no such function, nor the cost
        m_trim_threshold, m_mmap_max = -1, -4  # <malloc.h>
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
