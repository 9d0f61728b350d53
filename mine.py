"""Mine texts: embeddings, neighbours, similar pairs, clusters, hard negatives, rankings.

python mine.py embed      --texts.path tatoeba_pool_en --model models/all-MiniLM-L6-v2 --output pool.npy
python mine.py neighbours --corpus.path corpus.txt --queries.path queries.txt --model runs/stsb/best --output found.jsonl
python mine.py pairs      --texts.path corpus.txt --threshold 0.8 --model runs/stsb/best --output pairs.tsv
python mine.py clusters   --texts.path corpus.txt --threshold 0.75 --model runs/stsb/best --output clusters.jsonl
python mine.py negatives  --config configs/mine/scifact_negatives.yaml
python mine.py rank       --model runs/cross_stsb/best --query "A man plays a guitar." --documents.path candidates.txt

python mine.py <task> --help shows the options of a task. Searches are exact. Run an interrupted command again to resume it;
accelerate launch mine.py <task> ... shares the work between processes. Silver pairs: augment.py.
"""

import importlib
import sys

from sbert.cli import check_arguments, choose_task, make_parser
from sbert.errors import one_line_errors
from sbert.mining.config import (
    ClustersConfig,
    EmbedConfig,
    NegativesTaskConfig,
    NeighboursConfig,
    PairsConfig,
    RankConfig,
)

TASKS = {
    "embed": (EmbedConfig, "sbert.mining.embed", "mine_embeddings"),
    "neighbours": (NeighboursConfig, "sbert.mining.neighbours", "mine_neighbours"),
    "pairs": (PairsConfig, "sbert.mining.pairs", "mine_pairs"),
    "clusters": (ClustersConfig, "sbert.mining.clusters", "mine_clusters"),
    "negatives": (NegativesTaskConfig, "sbert.mining.negatives", "mine_negatives"),
    "rank": (RankConfig, "sbert.mining.rank", "rank_documents"),
}
MOVED = {"silver": "augment.py silver"}


def main(argv: list[str]) -> None:
    with one_line_errors("mine.py"):
        name, rest = choose_task("mine.py", argv, __doc__, TASKS, MOVED)
        schema, module, function = TASKS[name]
        check_arguments(rest)
        options = make_parser(schema, f"mine.py {name}", schema.__doc__.partition("Args:")[0])
        if name != "rank":
            options.add_argument(
                "--overwrite", action="store_true", help="Replace the output, finished or not."
            )
        given = options.parse_args(rest)
        overwrite, _ = given.pop("overwrite", False), given.pop("config")
        config = schema(**vars(options.instantiate(given)))
        run = getattr(
            importlib.import_module(module), function
        )  # loads transformers: once the options are known to be right
        if name == "rank":
            run(config)
        else:
            importlib.import_module("sbert.mining.task").run_task(run, config, overwrite)


if __name__ == "__main__":
    main(sys.argv[1:])
