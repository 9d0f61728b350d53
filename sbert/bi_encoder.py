"""The bi-encoder: one transformer for every text, pooling, and what stands after it (Sentence-BERT, figure 1)."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from sbert import folder
from sbert.batching import TextTokenizer, TokenTable, pad, token_batches, unique
from sbert.errors import InputError
from sbert.pooling import Dense, check_modes, pool

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]

SHORT = 48  # tokens up to which plain attention is faster on a CPU than torch's fused kernel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of "auto" is bf16 where the hardware multiplies it natively (CUDA from Ampere on, AMX and AVX512-BF16
    processors), fp32 elsewhere."""
    if precision not in ("auto", *DTYPES):
        raise InputError(f"precision: unknown value '{precision}'; known: auto, {', '.join(DTYPES)}")
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32


class BiEncoder(nn.Module):
    """Texts to embeddings. `forward` is the training path, on padded ids; `encode` the inference path, on texts."""

    def __init__(self, transformer: nn.Module, tokenizer, pooling: Sequence[str], max_length: int,
                 head: Sequence[nn.Module] = (), lower_case: bool = False):  # fmt: skip
        super().__init__()
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.pooling = check_modes(pooling)
        self.head = nn.Sequential(*head)
        self.texts = TextTokenizer(tokenizer, max_length, lower_case)
        can_switch = hasattr(transformer, "set_attn_implementation")  # newer versions of transformers
        self.switches = can_switch and transformer.config._attn_implementation == "sdpa"
        # BERT's pooler feeds nothing here: frozen, so that no process of a parallel run waits for its gradient
        pooler = getattr(transformer, "pooler", None)
        if pooler is not None:
            pooler.requires_grad_(False)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, pooling: str | Sequence[str] | None = None,
                        max_length: int | None = None, layer: int = -1) -> "BiEncoder":  # fmt: skip
        """Load a local folder or a hub name: a plain Hugging Face encoder, or what sentence-transformers saved.

        Args:
            pooling: a mode of `sbert.pooling.POOLING`, or several side by side; None: as saved, else mean. Given, it
                replaces the saved pooling and everything after it.
            max_length: tokens a text keeps, special ones included; None: as saved, else what the model was made for.
            layer: pool this hidden layer (0 the embeddings, 1 the first layer, -1 the last, -2 the one before it). The
                layers above are not loaded: the model is the shorter one, and is saved as such. A model that ends with
                a norm of its own applies it there too.

        Raises:
            InputError: no such folder, no safetensors weights in it, a module that this project does not know.
        """
        saved = folder.read(name_or_path, layer)
        modes = check_modes(pooling if pooling is not None else saved.pooling)
        head = [] if pooling is not None else saved.head
        length = min(max_length or saved.max_length, saved.longest)
        return cls(saved.transformer, saved.tokenizer, modes, length, head, saved.lower_case).eval()

    @property
    def max_length(self) -> int:
        return self.texts.max_length

    @property
    def dim(self) -> int:
        """H, the size of an embedding."""
        dense = [m.linear.out_features for m in self.head if isinstance(m, Dense)]
        return dense[-1] if dense else self.transformer.config.hidden_size * len(self.pooling)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def _choose_attention(self, length: int) -> None:
        """Have the transformer compute attention in the way that is faster for rows of this length."""
        name = "eager" if length <= SHORT and self.device.type == "cpu" else "sdpa"
        if self.switches and self.transformer.config._attn_implementation != name:
            self.transformer.set_attn_implementation(name)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(R, L), (R, L) -> (R, H), fp32."""
        self._choose_attention(input_ids.shape[1])
        tokens = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head(pool(tokens, attention_mask, self.pooling))

    def encode(self, texts: Sequence[str], precision: Precision = "auto", normalize: bool = False,
               progress: bool | None = False, batch_tokens: int = 4096) -> np.ndarray:  # fmt: skip
        """Embeddings of N texts as a float32 array (N, H).

        Every distinct text is computed once, longest first, in batches of at most `batch_tokens` tokens, padding
        included. bf16 keeps the cosine to the fp32 embedding above 0.9995.

        A text longer than `max_length` is cut, with a warning that counts such texts.

        Args:
            precision: type of the transformer's weights and products; pooling and what follows are fp32.
            normalize: scale every embedding to length 1.
            progress: show a bar, in tokens, which unlike texts all take the same time; None: on a terminal alone.
        """
        if isinstance(texts, str):
            raise InputError("encode: takes a list of texts, not one text; write encode([text])")
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"encode: text {i} is {text!r}, not a str")
        distinct, index = unique(texts)
        table = self.texts.table(distinct)
        if cut := int(table.cut_texts.sum()):
            message = f"{cut:,} of {len(distinct):,} distinct texts are cut at max_length {self.max_length}"
            warnings.warn(message, stacklevel=2)
        training = self.training
        self.eval()
        try:
            embeddings = self._infer(table, precision, progress, batch_tokens)
        finally:
            self.train(training)
        if normalize:
            embeddings = F.normalize(embeddings, dim=-1)
        embeddings = embeddings.numpy()
        return embeddings if len(distinct) == len(index) else embeddings[index]

    @torch.inference_mode()
    def _infer(self, table: TokenTable, precision: Precision, progress: bool | None, batch_tokens: int) -> Tensor:
        """Embeddings (U, H) of a token table, on the CPU."""
        dtype, lengths, device = resolve_precision(precision, self.device), table.lengths, self.device
        # a copy in the low precision for this call alone: the fp32 weights, which may be in training, stay
        weights = {n: p.to(dtype) if p.is_floating_point() else p for n, p in self.transformer.state_dict().items()}
        # results stay on the device until the end: one transfer, and no batch waits for another's
        result = torch.empty(len(table), self.dim, device=device)
        hidden = None if progress is None else not progress
        with tqdm(total=int(lengths.sum()), unit="tok", unit_scale=True, desc="encode", disable=hidden) as bar:
            for which in token_batches(lengths, batch_tokens):
                ids, mask = pad(table, which, self.texts.pad_id, self.texts.left)
                ids, mask = ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)
                self._choose_attention(ids.shape[1])
                inputs = {"input_ids": ids, "attention_mask": mask}
                tokens = torch.func.functional_call(self.transformer, weights, kwargs=inputs).last_hidden_state
                result[torch.from_numpy(which).to(device)] = self.head(pool(tokens, mask, self.pooling))
                bar.update(int(lengths[which].sum()))
        return result.cpu()

    def save_pretrained(self, path: str | Path) -> None:
        """Save a folder that this class and sentence-transformers 2 to 6 load with the same embeddings."""
        lower_case, head = self.texts.lower_case, list(self.head)
        folder.write(path, self.transformer, self.tokenizer, self.pooling, self.max_length, head, lower_case)


def similarity(a: np.ndarray | Tensor, b: np.ndarray | Tensor, kind: Similarity = "cosine") -> Tensor:
    """All pairs, (Q, H) and (N, H) -> (Q, N), larger is closer: cosine, dot, or a negative distance."""
    a, b = torch.as_tensor(a).float(), torch.as_tensor(b).float()
    if kind == "cosine":
        return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
    if kind == "dot":
        return a @ b.T
    if kind not in ("euclidean", "manhattan"):
        raise InputError(f"similarity: unknown kind '{kind}'; known: cosine, dot, euclidean, manhattan")
    return -torch.cdist(a, b, p=2 if kind == "euclidean" else 1)
