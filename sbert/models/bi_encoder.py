"""The bi-encoder: one transformer for every text, pooling, and what stands after it (Sentence-BERT, figure 1)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.device import Precision
from sbert.errors import InputError
from sbert.models import st_folder
from sbert.models.encoder import Encoder, warn_cut
from sbert.models.tokens import TextTokenizer, TokenTable, pad_rows
from sbert.pooling import Dense, check_modes, pool
from sbert.texts import unique

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]


class BiEncoder(Encoder):
    """Texts to embeddings. `forward` is the training path, on padded ids; `encode` the inference path, on texts."""

    verb = "encode"

    def __init__(self, transformer: nn.Module, tokenizer, pooling: Sequence[str], max_length: int,
                 head: Sequence[nn.Module] = (), lower_case: bool = False):  # fmt: skip
        super().__init__(transformer, tokenizer, TextTokenizer(tokenizer, max_length, lower_case))
        self.pooling = check_modes(pooling)
        self.head = nn.Sequential(*head)
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
        saved = st_folder.read_st_folder(name_or_path, layer)
        backbone = saved.backbone
        modes = check_modes(pooling if pooling is not None else saved.pooling)
        head = [] if pooling is not None else saved.head
        length = min(backbone.max_length if max_length is None else max_length, backbone.longest)
        return cls(
            backbone.transformer, backbone.tokenizer, modes, length, head, backbone.lower_case
        ).eval()

    @property
    def dim(self) -> int:
        """H, the size of an embedding."""
        dense = [m.linear.out_features for m in self.head if isinstance(m, Dense)]
        return dense[-1] if dense else self.transformer.config.hidden_size * len(self.pooling)

    def inputs(self, table: TokenTable, rows: np.ndarray) -> dict[str, Tensor]:
        """Column after column, without the texts that are not there: (R, C) -> ids and mask (C * R or fewer, L)."""
        cells = rows.T.ravel()
        ids, mask = pad_rows(table, cells[cells >= 0], self.texts.pad_id, self.texts.left)
        return {"input_ids": ids, "attention_mask": mask}

    def lengths(self, table: TokenTable, rows: np.ndarray) -> np.ndarray:
        return np.where(rows >= 0, table.lengths[rows], 0).max(axis=1)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, weights: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """(R, L), (R, L) -> (R, H), fp32."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        tokens = self.transform(weights, inputs).last_hidden_state
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
        warn_cut(int((table.cut_tokens > 0).sum()), len(distinct), "texts", self.max_length)
        each = np.arange(len(distinct))[:, None]
        embeddings = self.infer(table, each, self.dim, precision, progress, batch_tokens)
        if normalize:
            embeddings = F.normalize(embeddings, dim=-1)
        embeddings = embeddings.numpy()
        return embeddings if len(distinct) == len(index) else embeddings[index]

    def save_pretrained(self, path: str | Path) -> None:
        """Save a folder that this class and sentence-transformers 2 to 6 load with the same embeddings."""
        lower_case, head = self.texts.lower_case, list(self.head)
        st_folder.write_st_folder(
            path, self.transformer, self.tokenizer, self.pooling, self.max_length, head, lower_case
        )


def similarity(
    a: np.ndarray | Tensor, b: np.ndarray | Tensor, kind: Similarity = "cosine"
) -> Tensor:
    """All pairs, (Q, H) and (N, H) -> (Q, N), larger is closer: cosine, dot, or a negative distance."""
    a, b = torch.as_tensor(a).float(), torch.as_tensor(b).float()
    if kind == "cosine":
        return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
    if kind == "dot":
        return a @ b.T
    if kind not in ("euclidean", "manhattan"):
        raise InputError(
            f"similarity: unknown kind '{kind}'; known: cosine, dot, euclidean, manhattan"
        )
    return -torch.cdist(a, b, p=2 if kind == "euclidean" else 1)
