"""What both encoders share: the transformer, its precision, and inference in batches of tokens."""

import abc
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from sbert.device import InferencePrecision, resolve_precision
from sbert.errors import InputError
from sbert.models.active_embedding import whole_word_embeddings
from sbert.models.batches import token_batches
from sbert.models.families import FP32_ONLY, READS_PADDING
from sbert.models.fingerprint import architecture, fingerprint
from sbert.models.inference.copies import (
    can_pack,
    check_int8,
    copy_for_inference,
    copy_packed,
    is_packed,
)
from sbert.models.token_table import TokenTable
from sbert.models.tokens import BaseTokenizer

# of a batch at inference. On a CPU more make arrays so large that every operator gets new pages
# from the kernel, and fewer leave many cores idle; an accelerator wants to be filled
BATCH_TOKENS_CPU = 2048
BATCH_TOKENS_ACCELERATOR = 65_536

# up to this length plain attention is faster on a CPU than torch's fused kernel
EAGER_MAX_TOKENS = 48

# for fewer tokens packing the weights takes longer than it saves
PACKED_MIN_TOKENS = 1024


class Encoder(nn.Module, abc.ABC):
    """A transformer with its tokenizer.

    Rows of texts are (B, C) indices into a `TokenTable`, -1 where a text is absent. A subclass
    defines what the transformer reads of a row (`inputs`, `lengths`) and what is made of its output
    (`forward`, `dim`).
    """

    progress_label: str
    unused_weights: str | None = None  # prefix of weights that no result depends on
    fp32_weights: tuple[str, ...] = ()  # of the transformer: stay fp32 in every precision
    first_position_only = False  # of the hidden states only that of the first position is read

    def __init__(self, transformer: nn.Module, tokenizer, text_tokenizer: BaseTokenizer):
        super().__init__()
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.text_tokenizer = text_tokenizer
        # older versions of transformers cannot change the attention of a loaded model
        self.switches_attention = (
            hasattr(transformer, "set_attn_implementation")
            and transformer.config._attn_implementation == "sdpa"
        )
        family = transformer.config.model_type
        self.fp32_only = family in FP32_ONLY
        self.reads_padding = family in READS_PADDING

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Numbers that `forward` gives for one row."""

    @property
    @abc.abstractmethod
    def result_settings(self) -> dict:
        """What results depend on beside the transformer and the tokenizer, for JSON."""

    @abc.abstractmethod
    def inputs(self, table: TokenTable, rows: np.ndarray) -> dict[str, Tensor]:
        """The arguments of `forward` for rows (B, C), on the CPU."""

    @abc.abstractmethod
    def lengths(self, table: TokenTable, rows: np.ndarray) -> np.ndarray:
        """(B,) tokens of the longest sequence that the transformer reads of each row."""

    @property
    def max_length(self) -> int:
        """Tokens that the transformer reads of a sequence at most, special ones included."""
        return self.text_tokenizer.max_length

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that results depend on: weights, settings and tokenizer."""
        tokenizer = self.text_tokenizer
        settings = {
            "class": type(self).__name__,
            "config": architecture(self.transformer.config),
            "tokenizer": tokenizer.definition,
            "max_length": self.max_length,
            "lower_case": tokenizer.lower_case,
            "truncate_left": tokenizer.truncate_left,
            **self.result_settings,
        }
        unused = self.unused_weights or ()
        with whole_word_embeddings(self.transformer):
            weights = [(n, w) for n, w in self.state_dict().items() if not n.startswith(unused)]
        return fingerprint(settings, weights)

    def run_transformer(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        transformer: nn.Module | None = None,
    ):
        """The output of the transformer, or of another in its place, for (B, L) each.

        token_type_ids: where the tokenizer gives others than 0, as that of XLNet does.

        On a CPU, short batches run with plain attention and long ones with the fused kernel. Both
        compute the same up to rounding.
        """
        transformer = self.transformer if transformer is None else transformer
        short = input_ids.shape[1] <= EAGER_MAX_TOKENS and self.device.type == "cpu"
        attention = "eager" if short else "sdpa"
        switches = self.switches_attention and not is_packed(transformer)
        if switches and transformer.config._attn_implementation != attention:
            transformer.set_attn_implementation(attention)
        autocast = nullcontext()
        if self.fp32_only:  # also in training
            autocast = torch.autocast(self.device.type, enabled=False)
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        with autocast:
            return transformer(input_ids=input_ids, attention_mask=attention_mask, **types)

    def infer(
        self,
        table: TokenTable,
        rows: np.ndarray,
        precision: InferencePrecision,
        progress: bool | None,
        batch_tokens: int | None,
    ) -> Tensor:
        """`forward` on rows (N, C), in batches of `batch_tokens` -> (N, dim), fp32 on the CPU.

        Rows of a model whose results would depend on padding are batched with their equals.

        Args:
            batch_tokens: None: BATCH_TOKENS_CPU or BATCH_TOKENS_ACCELERATOR.
        """
        device = self.device
        if batch_tokens is None:
            on_cpu = device.type == "cpu"
            batch_tokens = BATCH_TOKENS_CPU if on_cpu else BATCH_TOKENS_ACCELERATOR
        dtype = self.resolve_precision(precision)
        lengths = self.lengths(table, rows)  # (N,)
        # results stay on the device until the end: one transfer, and no batch waits for another's
        result = torch.empty(len(rows), self.dim, device=device)
        bar = tqdm(
            desc=self.progress_label,
            total=int(lengths.sum()),
            unit="tok",  # unlike texts, tokens all take the same time
            unit_scale=True,
            disable=None if progress is None else not progress,
        )
        with torch.inference_mode(), evaluating(self), whole_word_embeddings(self.transformer), bar:
            transformer = self._inference_copy(dtype, int(lengths.sum()))
            for batch in token_batches(lengths, batch_tokens, self.reads_padding):
                inputs = {
                    name: tensor.to(device, non_blocking=True)
                    for name, tensor in self.inputs(table, rows[batch]).items()
                }
                result[torch.from_numpy(batch).to(device)] = self(**inputs, transformer=transformer)
                bar.update(int(lengths[batch].sum()))
        return result.cpu()

    def _inference_copy(self, dtype: torch.dtype, tokens: int) -> nn.Module:
        """The transformer in `dtype` for so many tokens, as a copy: its own may be in training."""
        if dtype == torch.int8:
            return copy_packed(self.transformer, dtype, self.first_position_only)
        if tokens >= PACKED_MIN_TOKENS and can_pack(self.transformer, dtype):
            return copy_packed(self.transformer, dtype, self.first_position_only)
        return copy_for_inference(self.transformer, dtype, self.fp32_weights)

    def resolve_precision(self, precision: InferencePrecision) -> torch.dtype:
        """The type of the transformer's products, with a warning where it has no choice.

        Raises:
            InputError: an unknown precision; int8_dynamic where there is none.
        """
        if precision == "int8_dynamic":
            check_int8(self.transformer)
            return torch.int8
        dtype = resolve_precision(precision, self.device)
        if not self.fp32_only or dtype == torch.float32:
            return dtype
        if precision != "auto":
            family = self.transformer.config.model_type
            warnings.warn(
                f"precision {precision}: a model of type {family} computes in fp32 only",
                stacklevel=_caller_level(),
            )
        return torch.float32

    def _require_finite(
        self, results: Tensor, name: Callable[[int], str], precision: InferencePrecision
    ) -> None:
        """Check the results (N, K) of N texts or pairs. `name`: what messages call each of them.

        Raises:
            InputError: one is not finite; names the first such, and the remedy.
        """
        finite = torch.linalg.vector_norm(results, torch.inf, dim=1).isfinite()  # (N,)
        if finite.all():
            return
        dtype = self.resolve_precision(precision)
        remedy = "use precision fp32, or bf16, which has its range"
        if dtype == torch.bfloat16:
            remedy = "use precision fp32"
        elif dtype == torch.float32:
            remedy = "so the weights of the model are broken"
        dtype_name = str(dtype).removeprefix("torch.")
        first = finite.int().argmin().item()
        raise InputError(f"the {name(first)} is not finite in {dtype_name}; {remedy}")

    def _warn_cut(self, cut_tokens: np.ndarray, what: str) -> None:
        """Warn, at the line that called a public method, of inputs longer than `max_length`.

        Args:
            cut_tokens: (U,) tokens that each distinct input loses.
            what: "texts" or "pairs".
        """
        cut = np.count_nonzero(cut_tokens)
        if cut:
            warnings.warn(
                f"{cut:,} of {len(cut_tokens):,} distinct {what} are cut at "
                f"max_length {self.max_length}",
                stacklevel=_caller_level(),
            )


def _caller_level() -> int:
    """The `stacklevel` of a warning that is shown at the line that called into this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"].startswith("sbert."):
        level, frame = level + 1, frame.f_back
    return level


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) inside the block; the module's previous mode after it."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
