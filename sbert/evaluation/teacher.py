"""A teacher in `evaluate.py`: the embeddings that those of a student are compared with."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import require
from sbert.evaluation.config import EvaluateConfig
from sbert.evaluation.loading import Datasets, EvaluatedModel
from sbert.evaluation.scorers import KeptEmbeddings, bi_encoder_scorer
from sbert.models.bi_encoder import BiEncoder
from sbert.models.loading import load_embedder
from sbert.pooling import ends_in_normalize


def load_teacher(
    config: EvaluateConfig,
    datasets: Datasets,
    students: Mapping[str, EvaluatedModel],
    device: torch.device,
) -> EvaluatedModel:
    """The teacher of the model and of the baseline.

    Raises:
        InputError: no dataset of pairs, a cross-encoder, a student with embeddings of another size.
    """
    tasks = ", ".join(f"{rows.name} ({rows.task})" for rows in datasets)
    require(
        any(rows.task == "pair" for rows in datasets),
        f"teacher is for datasets of task pair, and data has none: {tasks}",
    )
    model = load_embedder(config.teacher, "teacher").to(device)
    size = model.embedding_dim()
    for role in ("model", "baseline"):
        if role in students:
            student = students[role]
            own = student.model.embedding_dim()
            require(
                own == size,
                f"teacher: the embeddings of {config.teacher} have {size} numbers, those of the "
                f"{role} {student.path} {own}; their error needs one size, and a projection is "
                "fitted to the texts of a run, whose dev and test sets have it",
            )
    encode = partial(model.encode, precision=config.precision, progress=None)
    kept = partial(KeptEmbeddings(encode), size=size)
    return EvaluatedModel("teacher", config.teacher, model, bi_encoder_scorer(kept))


def with_targets(
    rows: Rows | Retrieval, student: BiEncoder, teacher: EvaluatedModel, prompt: str | None
) -> Rows | Retrieval:
    """Pairs with the teacher's embeddings of their first texts as labels (N, H), of length 1 where
    the student ends in `Normalize`; other rows as they are.

    prompt: put before the teacher's texts; None: its default prompt, if it has one.
    """
    if rows.task != "pair":
        return rows
    prompt = teacher.model.find_prompt(prompt)
    [targets] = teacher.scorer.embed(rows.texts[:1], [prompt])
    if ends_in_normalize(student.head):
        targets = F.normalize(torch.from_numpy(targets), dim=1).numpy()
    return replace(rows, labels=targets)
