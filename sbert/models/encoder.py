"""What both encoders share: the transformer, its precision, and inference in batches of tokens, longest first."""

import abc
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from sbert.device import Precision, resolve_precision
from sbert.models.tokens import TextTokenizer, TokenTable, token_batches

SHORT = 48  # tokens up to which plain attention is faster on a CPU than torch's fused kernel


class Encoder(nn.Module, abc.ABC):
    """A transformer with its tokenizer. What a subclass makes of a row of texts is in `inputs` and `lengths`; what comes
    out of them in `forward`. Rows are (R, C): places of C texts in a `TokenTable`, -1 for a text that is not there."""

    verb: str  # what the progress bar says
    exact: tuple[str, ...] = ()  # weights of the transformer that stay fp32 in every precision

    def __init__(self, transformer: nn.Module, tokenizer, texts: TextTokenizer):
        super().__init__()
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.texts = texts
        can_switch = hasattr(
            transformer, "set_attn_implementation"
        )  # newer versions of transformers
        self.switches = can_switch and transformer.config._attn_implementation == "sdpa"

    @abc.abstractmethod
    def inputs(self, table: TokenTable, rows: np.ndarray) -> dict[str, Tensor]:
        """The arguments of `forward` for some rows (R, C), on the CPU."""

    @abc.abstractmethod
    def lengths(self, table: TokenTable, rows: np.ndarray) -> np.ndarray:
        """(R,) tokens of the longest thing that the transformer reads of each row."""

    @property
    def max_length(self) -> int:
        return self.texts.max_length

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def fingerprint(self) -> str:
        """A hash of all that the results depend on: weights, pooling and what follows it, or the activation, the lengths that
        are kept."""
        ending = getattr(self, "pooling", "") or getattr(self, "activation", "")
        hashed = hashlib.sha256(f"{type(self).__name__} {ending} {self.max_length}".encode())
        for name, weight in sorted(self.state_dict().items()):
            hashed.update(name.encode())
            hashed.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return hashed.hexdigest()

    def transform(self, weights: Mapping[str, Tensor] | None, inputs: dict[str, Tensor]):
        """The transformer's output, with its own weights or with others, by the attention that is faster here."""
        short = inputs["input_ids"].shape[1] <= SHORT and self.device.type == "cpu"
        name = "eager" if short else "sdpa"
        if self.switches and self.transformer.config._attn_implementation != name:
            self.transformer.set_attn_implementation(name)
        if weights is None:
            return self.transformer(**inputs)
        return torch.func.functional_call(self.transformer, weights, kwargs=inputs)

    @torch.inference_mode()
    def infer(self, table: TokenTable, rows: np.ndarray, width: int, precision: Precision, progress: bool | None,
              batch_tokens: int) -> Tensor:  # fmt: skip
        """`forward` on all rows (R, C) -> (R, width) on the CPU, in batches of at most `batch_tokens` tokens."""
        dtype, lengths, device = (
            resolve_precision(precision, self.device),
            self.lengths(table, rows),
            self.device,
        )
        # a copy in the low precision for this call alone: the fp32 weights, which may be in training, stay
        weights = {
            name: p.to(dtype) if p.is_floating_point() and name not in self.exact else p
            for name, p in self.transformer.state_dict().items()
        }
        # results stay on the device until the end: one transfer, and no batch waits for another's
        result = torch.empty(len(rows), width, device=device)
        hidden = None if progress is None else not progress
        bar = tqdm(
            total=int(lengths.sum()), unit="tok", unit_scale=True, desc=self.verb, disable=hidden
        )
        with evaluating(self), bar:
            for which in token_batches(lengths, batch_tokens):
                inputs = {
                    k: t.to(device, non_blocking=True)
                    for k, t in self.inputs(table, rows[which]).items()
                }
                result[torch.from_numpy(which).to(device)] = self(**inputs, weights=weights)
                bar.update(int(lengths[which].sum()))
        return result.cpu()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Dropout off inside, and as it was afterwards."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def warn_cut(cut: int, total: int, what: str, max_length: int, depth: int = 3) -> None:
    """Say on behalf of a caller `depth` calls up how many texts or pairs `max_length` cuts, if any."""
    if cut:
        warnings.warn(
            f"{cut:,} of {total:,} distinct {what} are cut at max_length {max_length}",
            stacklevel=depth,
        )
