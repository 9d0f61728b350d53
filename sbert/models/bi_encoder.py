"""The bi-encoder: a transformer, pooling and a head (Sentence-BERT, arXiv 1908.10084, figure 1)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.device import Precision
from sbert.errors import require
from sbert.models import st_folder
from sbert.models.encoder import Encoder
from sbert.models.tokens import TextTokenizer, TokenTable, pad_rows
from sbert.pooling import Dense, check_modes, pool
from sbert.texts import unique


class BiEncoder(Encoder):
    """Texts to embeddings: `forward` on padded ids, for training; `encode` on texts, for inference.

    Args:
        transformer: an encoder of transformers.
        tokenizer: its fast tokenizer.
        pooling: names in `sbert.pooling.POOLING`; several are put side by side.
        max_length: tokens a text keeps, special ones included.
        head: modules after the pooling, such as `Dense` and `Normalize`.
        lower_case: lower-case texts before they are tokenised.
    """

    progress_label = "encode"
    output_setting = "pooling"

    def __init__(
        self,
        transformer: nn.Module,
        tokenizer,
        pooling: str | Sequence[str],
        max_length: int,
        head: Sequence[nn.Module] = (),
        lower_case: bool = False,
    ):
        super().__init__(transformer, tokenizer, TextTokenizer(tokenizer, max_length, lower_case))
        self.pooling = check_modes(pooling)
        self.head = nn.Sequential(*head)
        freeze_pooler(transformer)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        pooling: str | Sequence[str] | None = None,
        max_length: int | None = None,
        layer: int = -1,
    ) -> "BiEncoder":
        """Load a Hugging Face encoder or a sentence-transformers model, by folder or hub name.

        Args:
            pooling: a mode of `sbert.pooling.POOLING`, or several side by side; None: as saved,
                else mean. If given, it replaces the saved pooling and everything after it.
            max_length: tokens a text keeps, special ones included; None: as saved, else the model's
                maximum.
            layer: pool this hidden layer (0 the embeddings, 1 the first layer, -1 the last, -2 the
                one before it). The layers above are not loaded: the model is the shorter one, and
                is saved as such. A model that ends with a norm of its own applies it there too.

        Raises:
            InputError: no such folder, no safetensors weights in it, an unsupported module or
                setting.
        """
        backbone, saved_pooling, head = st_folder.read_st_folder(name_or_path, max_length, layer)
        return cls(
            backbone.transformer,
            backbone.tokenizer,
            saved_pooling if pooling is None else pooling,
            backbone.max_length,
            head if pooling is None else [],
            backbone.lower_case,
        ).eval()

    @property
    def dim(self) -> int:
        """H, the size of an embedding."""
        sizes = [module.linear.out_features for module in self.head if isinstance(module, Dense)]
        return sizes[-1] if sizes else self.transformer.config.hidden_size * len(self.pooling)

    def inputs(self, table: TokenTable, rows: np.ndarray) -> dict[str, Tensor]:
        """Rows (B, C) -> ids and mask (T, L) of the texts present, column by column."""
        texts = rows.T[rows.T >= 0]  # (T,), column after column
        tokenizer = self.text_tokenizer
        ids, mask = pad_rows(table, texts, tokenizer.pad_id)
        return {"input_ids": ids, "attention_mask": mask}

    def lengths(self, table: TokenTable, rows: np.ndarray) -> np.ndarray:
        return np.where(rows >= 0, table.lengths[rows], 0).max(axis=1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """(B, L), (B, L) -> embeddings (B, H), fp32. `weights` replace those of the transformer."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        tokens = self.run_transformer(inputs, weights).last_hidden_state  # (B, L, its H)
        return self.head(pool(tokens, attention_mask, self.pooling))

    def encode(
        self,
        texts: Sequence[str],
        precision: Precision = "auto",
        normalize: bool = False,
        progress: bool | None = False,
        batch_tokens: int = 4096,
    ) -> np.ndarray:
        """Embeddings of N texts as a float32 array (N, H), in the order given.

        Every distinct text is computed once, in batches of similar length. A text longer than
        `max_length` tokens is cut, with one warning that counts such texts.

        Args:
            precision: type of the transformer's weights and products; pooling and head are fp32.
                bf16 keeps the cosine to the fp32 embedding above 0.9995.
            normalize: scale every embedding to length 1.
            progress: show a bar, in tokens; None: only on a terminal.
            batch_tokens: tokens in a batch at most, padding included.

        Raises:
            InputError: `texts` is one text instead of a list, or holds something else than a str;
                an unknown precision.
        """
        require(
            not isinstance(texts, str),
            "encode: takes a list of texts, not one text; write encode([text])",
        )
        for i, text in enumerate(texts):
            require(isinstance(text, str), f"encode: text {i} is {text!r}, not a str")
        distinct, index = unique(texts)
        table = self.text_tokenizer.tokenize(distinct)
        self._warn_cut(table.cut_tokens, "texts")
        rows = np.arange(len(distinct))[:, None]  # (U, 1)
        embeddings = self.infer(table, rows, precision, progress, batch_tokens)  # (U, H)
        if normalize:
            embeddings = F.normalize(embeddings, dim=-1)
        # without duplicates, the index would only copy
        return embeddings.numpy() if len(distinct) == len(index) else embeddings.numpy()[index]

    def save_pretrained(self, path: str | Path) -> None:
        """Save a folder that sentence-transformers 2 to 6 also load, with the same embeddings."""
        st_folder.write_st_folder(
            path,
            self.transformer,
            self.tokenizer,
            self.pooling,
            self.max_length,
            self.head,
            self.text_tokenizer.lower_case,
        )


def freeze_pooler(transformer: nn.Module) -> None:
    """Freeze the pooler of BERT and its relatives, which no output of a bi-encoder depends on.

    The results do not change. Without this, every process of a parallel run would wait for its
    gradient.
    """
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler.requires_grad_(False)


SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": lambda a, b: F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T,
    "dot": lambda a, b: a @ b.T,
    "euclidean": lambda a, b: -torch.cdist(a, b, p=2),
    "manhattan": lambda a, b: -torch.cdist(a, b, p=1),
}


def similarity(
    a: np.ndarray | Tensor, b: np.ndarray | Tensor, similarity: str = "cosine"
) -> Tensor:
    """The similarity of all pairs, (Q, H) and (N, H) -> (Q, N), in fp32; larger is closer.

    Args:
        similarity: a name in SIMILARITIES: cosine, dot, or a negative distance, euclidean or
            manhattan.

    Raises:
        InputError: an unknown similarity.
    """
    require(
        similarity in SIMILARITIES,
        f"similarity: unknown value '{similarity}'; known: {', '.join(SIMILARITIES)}",
    )
    return SIMILARITIES[similarity](torch.as_tensor(a).float(), torch.as_tensor(b).float())
