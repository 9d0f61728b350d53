r"""Evaluate a bi-encoder or a cross-encoder on labelled datasets: one table.

python evaluate.py --model runs/stsb/best --data stsb sts12 sts13 sts14 sts15 sts16
python evaluate.py --model models/all-MiniLM-L6-v2 --data stsb_multi_mt/fr mrpc --output result.md
python evaluate.py --model runs/nli/best --data snli my/pairs.tsv --output result.json
python evaluate.py --model runs/cross_stsb/best --data stsb --symmetric true
python evaluate.py --model runs/stsb/best --data stsb --baseline runs/nli/best --seen stsb nli.tsv
python evaluate.py --model runs/crossed/best \
    --data '{path: "stsb_multi_mt/{language}", languages: [de, en], crossing: all}'
python evaluate.py --model runs/stsb_matryoshka/best --data stsb --truncate_dim 384 192 96 48
python evaluate.py --model runs/distilled/best --teacher models/all-mpnet-base-v2 \
    --data tatoeba_parallel:en-de
python evaluate.py --model runs/msmarco/best --data scifact --reranker runs/ranker/best --depth 50

All numbers are x 100. The correlations of a cross-encoder are those of its logits. The columns and
the task of a dataset are known from its name or its header; a retrieval dataset is a folder with
corpus, queries and qrels, also in BEIR's layout. In a YAML file passed as --config every option of
a dataset can be set.

The 95 % intervals are of the main metric, from 10,000 bootstrap resamples of the rows (of rankings:
of the queries). --baseline is compared on the same rows: the better score is bold only if the
difference is significant (p < 0.05). --seen counts the pairs and sentences of each dataset that
occur in training data, and adds the score without them.
"""

import shlex
import sys

from jsonargparse.typing import PositiveInt

from sbert.cli import parse_command
from sbert.data.config import DatasetConfig
from sbert.errors import one_line_errors
from sbert.evaluation.config import EvaluateConfig

LISTS = {
    "data": (
        str | DatasetConfig,
        "Names of datasets (stsb stsb:dev stsb_multi_mt/fr), files, folders with a corpus; in "
        "YAML with all their options.",
    ),
    "truncate_dim": (
        PositiveInt,
        "Of a bi-encoder: the first numbers of each embedding that are kept. Several sizes: a "
        "table of all; the other tables are of the first.",
    ),
    "seen": (
        str | DatasetConfig,
        "Training data of the model, named in the same way; labels are not needed, and a .txt "
        "file has one text per line.",
    ),
}


def main(argv: list[str]) -> None:
    with one_line_errors("evaluate.py"):
        command = parse_command("evaluate.py", EvaluateConfig, __doc__, argv, **LISTS)
        # loads transformers: after the options were checked
        from sbert.evaluation.command import evaluate_models

        evaluate_models(command.config, shlex.join(["python", "evaluate.py", *argv]))


if __name__ == "__main__":
    main(sys.argv[1:])
