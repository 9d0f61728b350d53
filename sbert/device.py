"""The device, the precision of matrix products, and Accelerate's view of both."""

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env

from sbert.errors import InputError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
# int8_dynamic: only what a transformer computes in inference has such products
InferencePrecision = Literal["auto", "fp32", "bf16", "fp16", "int8_dynamic"]

# of the other processes for the main one, which alone reads and tokenises the training data
LONGEST_WAIT = timedelta(hours=6)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def default_device() -> torch.device:
    """The accelerator of this machine (CUDA, MPS, XPU, ...), else the CPU.

    ACCELERATE_USE_CPU=1 in the environment chooses the CPU.
    """
    # what torch was built for need not be in the machine
    if parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available():
        return torch.device("cpu")
    return torch.accelerator.current_accelerator()


def with_fp64(device: torch.device | str) -> torch.device:
    """The device, or the CPU instead of one that lacks the fp64 of exact scores: MPS."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of matrix products. `auto` is bf16 where the hardware multiplies it natively (CUDA
    from Ampere on, CPUs with AMX or AVX512-BF16), fp16 on older CUDA devices, fp32 elsewhere."""
    if precision not in ("auto", *DTYPES):
        known = ", ".join(DTYPES)
        raise InputError(f"precision: unknown value '{precision}'; known: auto, {known}")
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32


@contextmanager
def full_precision_products() -> Iterator[None]:
    """Products of fp32 are in fp32, and all sums are, whatever was chosen for the process.

    `torch.set_float32_matmul_precision("medium")` lets fp32 be multiplied in bf16 or TF32, on a CPU
    too; by default a GPU may add bf16 and fp16 in their own precision.
    """
    cuda = torch.backends.cuda.matmul
    settings = [
        (cuda, "allow_bf16_reduced_precision_reduction", False),
        (cuda, "allow_fp16_reduced_precision_reduction", False),
        (cuda, "allow_fp16_accumulation", False),  # since torch 2.7
        (cuda, "fp32_precision", "ieee"),  # since torch 2.9, as the next
        (getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision", "ieee"),
    ]
    settings = [setting for setting in settings if hasattr(*setting[:2])]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in settings]
    single = not hasattr(cuda, "fp32_precision")  # one setting for all kinds of hardware
    overall = torch.get_float32_matmul_precision() if single else None
    try:
        if single:
            torch.set_float32_matmul_precision("highest")
        for setting in settings:
            setattr(*setting)
        yield
    finally:
        if single:
            torch.set_float32_matmul_precision(overall)
        for setting in before:
            setattr(*setting)


def describe_precision(precision: InferencePrecision, device: torch.device) -> str:
    """What a precision is on a device, for messages and reports."""
    if precision == "int8_dynamic":
        return precision
    return str(resolve_precision(precision, device)).removeprefix("torch.")


def precision_option(dtype: str) -> str:
    """The value of `precision` that asks for products of a type, given as its text (torch.int8)."""
    options = {str(known): option for option, known in DTYPES.items()}
    options[str(torch.int8)] = "int8_dynamic"
    return options.get(dtype, dtype)


def map_in_threads(function: Callable, items: Iterable) -> Iterator:
    """`function` of each item, in order: in as many threads as torch has, each with one of them.

    The threads of one operator wait for each other at its end: with many small ones, or on a busy
    machine, most of the time.
    """
    count = torch.get_num_threads()
    inference = torch.is_inference_mode_enabled()

    def call(item):
        with torch.inference_mode(inference), torch.no_grad():
            return function(item)

    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield from pool.map(call, items)
        finally:
            torch.set_num_threads(count)  # of MKL it is one setting for all threads


def make_accelerator(precision: Precision) -> Accelerator:
    """Accelerate's view of the machine and the processes, in the precision of its device.

    Raises:
        InputError: fp16 on a CPU.
    """
    # without this Accelerate does not group processes on CPUs, and each would train alone
    cpu = default_device().type == "cpu"
    device = PartialState(cpu=cpu, timeout=LONGEST_WAIT).device
    dtype = resolve_precision(precision, device)
    if dtype == torch.float16 and device.type == "cpu":
        raise InputError("loop.precision: fp16 needs a GPU; on a CPU use bf16, fp32 or auto")
    names = {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return Accelerator(mixed_precision=names[dtype], cpu=cpu)


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next step instead of returning it to the kernel.

    What was freed before, such as the texts that were read, is returned.
    Every step frees and allocates hundreds of megabytes of gradients and activations, and faulting
    the pages in again takes a tenth of the step's time on a CPU. No effect on other C libraries.
    """
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        library.malloc_trim(0)
        m_trim_threshold, m_mmap_max = -1, -4  # <malloc.h>
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
