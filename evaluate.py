"""Evaluate a bi-encoder or a cross-encoder on labelled datasets: one table.

python evaluate.py --model runs/stsb/best --data stsb sts12 sts13 sts14 sts15 sts16
python evaluate.py --model models/all-MiniLM-L6-v2 --data stsb_multi_mt/fr mrpc --output result.md
python evaluate.py --model runs/nli/best --data snli my/pairs.tsv --output result.json
python evaluate.py --model runs/cross_stsb/best --data stsb --symmetric true
python evaluate.py --model runs/stsb/best --data stsb sts12 --baseline runs/nli/best --seen stsb nli.tsv --output page.md
python evaluate.py --model runs/msmarco/best --data scifact beir/nfcorpus --reranker runs/ranker/best --depth 50

All numbers are x 100; a cross-encoder's correlations are those of its logits. A dataset's columns and task are known by its
name or its header, retrieval by a folder's corpus, queries and qrels, also in BEIR's layout; in a YAML file given as --config
every option of a dataset can be set.

Intervals of 95 % are of the main metric, from 10,000 bootstrap resamples of the rows (of rankings: of the queries). A baseline is
compared on the same rows: the better score is in bold only where the difference is outside the noise (p < 0.05). --seen counts
the pairs and sentences of each dataset that stand in training data, and gives the score without them.
"""

import shlex
import sys

from sbert.cli import check_arguments, make_parser
from sbert.data.config import DatasetConfig
from sbert.errors import one_line_errors
from sbert.evaluation.config import EvaluateConfig


def main(argv: list[str]) -> None:
    with one_line_errors("evaluate.py"):
        check_arguments(argv)
        dataset = str | DatasetConfig
        data = "Names of datasets (stsb stsb:dev stsb_multi_mt/fr), files, folders with a corpus; in YAML with all their options."
        seen = "Training data of the model, named in the same way; labels are not needed, and a .txt file has a text a line."
        options = make_parser(
            EvaluateConfig, "evaluate.py", __doc__, data=(dataset, data), seen=(dataset, seen)
        )
        given = options.parse_args(argv)
        given.pop("config")
        config = EvaluateConfig(**vars(options.instantiate(given)))
        from sbert.evaluation.command import (
            evaluate_models,  # loads transformers: once the options are known to be right
        )

        evaluate_models(config, shlex.join(["python", "evaluate.py", *argv]))


if __name__ == "__main__":
    main(sys.argv[1:])
