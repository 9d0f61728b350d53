"""Mine texts: embeddings, neighbours, similar pairs, clusters, hard negatives, silver pairs.

python mine.py embed      --texts.path tatoeba_pool_en --model models/all-MiniLM-L6-v2 --output pool.npy
python mine.py neighbours --corpus.path corpus.txt --queries.path queries.txt --model runs/stsb/best --output found.jsonl
python mine.py pairs      --texts.path corpus.txt --threshold 0.8 --model runs/stsb/best --output pairs.tsv
python mine.py clusters   --texts.path corpus.txt --threshold 0.75 --model runs/stsb/best --output clusters.jsonl
python mine.py negatives  --config configs/mine/scifact_negatives.yaml
python mine.py silver     --config configs/augsbert/mine.yaml

python mine.py <task> --help tells the options of a task. Searches are exact. An interrupted command goes on where it stood
when it is given again; accelerate launch mine.py <task> ... shares the work between processes.
"""

import sys

from sbert.config import check_unique, parser
from sbert.errors import InputError, one_line_errors
from sbert.miners import (
    ClustersConfig,
    EmbedConfig,
    NeighboursConfig,
    PairsConfig,
    clusters,
    embed_texts,
    neighbours,
    pairs,
)
from sbert.negative_miner import NegativesTaskConfig, mine_negatives
from sbert.run import keep_freed_memory, make_accelerator
from sbert.silver_miner import SilverConfig, mine_silver
from sbert.task import Task

TASKS = {
    "embed": (EmbedConfig, embed_texts),
    "neighbours": (NeighboursConfig, neighbours),
    "pairs": (PairsConfig, pairs),
    "clusters": (ClustersConfig, clusters),
    "negatives": (NegativesTaskConfig, mine_negatives),
    "silver": (SilverConfig, mine_silver),
}


def main(argv: list[str]) -> None:
    with one_line_errors("mine.py"):
        name, *rest = argv or ["--help"]
        if name in ("-h", "--help"):
            print(__doc__.strip())
            return
        if name not in TASKS:
            raise InputError(f"unknown task '{name}'; the tasks are {', '.join(TASKS)} (mine.py --help)")
        schema, run = TASKS[name]
        check_unique(rest)
        options = parser(schema, f"mine.py {name}", schema.__doc__.partition("Args:")[0])
        options.add_argument("--overwrite", action="store_true", help="Replace the output, finished or not.")
        given = options.parse_args(rest)
        overwrite, _ = given.pop("overwrite"), given.pop("config")
        config = schema(**vars(options.instantiate(given)))
        keep_freed_memory()
        run(Task(config, make_accelerator(config.precision), overwrite))


if __name__ == "__main__":
    main(sys.argv[1:])
