"""Generate the built-in corpus of headline pairs: python tools/demo_corpus.py sbert/data/demo

The output is part of the repository, so that `path: demo` works without a download. Run this again
only after a change here or in the grammar, demo_corpus.yaml.

The events are invented. A label says what two events have in common; each is a fifth of a split:

    1     the same event
    0.75  the same topic and the same country, but another event
    0.5   the same topic or the same country
    0.25  the same general topic or the same region
    0     none of these

Word overlap does not predict the label: two headlines of one event differ in template, wording and
the name of the place, while headlines of different events often share number, day, frame
("officials say on Monday") and shape. No event and no headline occurs in two pairs, so none occurs
in two splits.
"""

import argparse
import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

SIZES = {"train": 1400, "dev": 300, "test": 300}

# label -> what the two events share; a label with two sources takes them in turn
SOURCES = {
    0.0: ["unrelated"],
    0.25: ["general topic", "region"],
    0.5: ["topic", "country"],
    0.75: ["topic and country"],
    1.0: ["same event"],
}

# probability that the headlines of two events share each of: number, day, frame, template, wording
# and whether the city is named
SHARED_FORM = 0.6

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]

# no "one", so that nouns stay plural
NUMBERS = {3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}

FRAMES = [
    "{core}",
    "{core}, officials say on {day}",
    "{day} briefing: {core}",
    "{core}, agencies say on {day}",
]


class Pair(NamedTuple):
    """One row of the corpus. source: what the two events share."""

    sentence1: str
    sentence2: str
    score: float
    source: str


class Country(NamedTuple):
    region: str
    name: str
    demonym: str
    capital: str
    city: str


@dataclass(frozen=True, eq=False)
class Subtopic:
    general_topic: str
    topic: str
    templates: list[str]
    details: list[list[str]]  # each a pair of wordings


class Event(NamedTuple):
    """What happened, however a headline phrases it. Every headline shows the first three fields."""

    subtopic: Subtopic
    country: Country
    detail: tuple[str, ...]
    city: str
    number: int
    day: str


GRAMMAR = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
COUNTRIES: list[Country] = []
SUBTOPICS: list[Subtopic] = []
for region, rows in GRAMMAR["regions"].items():
    COUNTRIES += [Country(region, *row) for row in rows]
for general_topic, entries in GRAMMAR["topics"].items():
    SUBTOPICS += [Subtopic(general_topic, **entry) for entry in entries]


def shared_source(a: Event, b: Event) -> str:
    """The most specific thing that two events share, a value of `SOURCES`."""
    shared = {
        "same event": a == b,
        "topic and country": a.subtopic.topic == b.subtopic.topic and a.country == b.country,
        "topic": a.subtopic.topic == b.subtopic.topic,
        "country": a.country == b.country,
        "general topic": a.subtopic.general_topic == b.subtopic.general_topic,
        "region": a.country.region == b.country.region,
        "unrelated": True,
    }
    return next(source for source, is_shared in shared.items() if is_shared)


def draw_event(rng: random.Random, similar_to: Event | None = None) -> Event:
    """Any event. It often takes number and day from the event that it is `similar_to`."""
    subtopic = rng.choice(SUBTOPICS)
    country = rng.choice(COUNTRIES)
    city = rng.choice([country.capital, country.city])
    detail = tuple(rng.choice(subtopic.details))
    keep_number = similar_to and rng.random() < SHARED_FORM
    number = similar_to.number if keep_number else rng.choice(list(NUMBERS))
    keep_day = similar_to and rng.random() < SHARED_FORM
    day = similar_to.day if keep_day else rng.choice(DAYS)
    return Event(subtopic, country, detail, city, number, day)


def draw_second_event(rng: random.Random, first: Event, source: str) -> Event:
    """An event that shares `source` with the first."""
    if source == "same event":
        return first
    while True:
        second = draw_event(rng, similar_to=first)
        # two different events must differ in what every headline shows
        if first[:3] != second[:3] and shared_source(first, second) == source:
            return second


def headline(event: Event, template: int, wording: int, name_city: bool, frame: str) -> str:
    core = event.subtopic.templates[template].format(
        adj=event.country.demonym,
        place=event.city if name_city else event.country.name,
        what=event.detail[wording],
        n=event.number,
        word=NUMBERS[event.number],
    )
    text = frame.format(core=core, day=event.day)
    return text[0].upper() + text[1:]


def draw_headlines(rng: random.Random, first: Event, second: Event) -> tuple[str, str]:
    """One event in two forms that differ throughout; two events in forms that are often alike."""
    choices = [range(3), range(2), (False, True), FRAMES]  # template, wording, name_city, frame
    first_form, second_form = zip(*(rng.sample(choice, 2) for choice in choices), strict=True)
    if first != second:
        second_form = [
            a if rng.random() < SHARED_FORM else b
            for a, b in zip(first_form, second_form, strict=True)
        ]
    return headline(first, *first_form), headline(second, *second_form)


def generate_pairs(seed: int) -> Iterator[tuple[str, Event, Event, Pair]]:
    """(split, first event, second event, pair), sorted by split and label."""
    rng = random.Random(seed)
    used = set()  # events and headlines
    for split, size in SIZES.items():
        for score, sources in SOURCES.items():
            for i in range(size // len(SOURCES)):
                source = sources[i % len(sources)]
                new = set()
                while not new or used & new:
                    first = draw_event(rng)
                    second = draw_second_event(rng, first, source)
                    headlines = draw_headlines(rng, first, second)
                    new = {first, second, *headlines}
                used |= new
                yield split, first, second, Pair(*headlines, score, source)


def generate(seed: int = 0) -> dict[str, list[Pair]]:
    """The corpus: {"train": 1400 pairs, "dev": 300, "test": 300}, each split shuffled.

    Equal seeds give equal corpora in every process.
    """
    corpus: dict[str, list[Pair]] = {split: [] for split in SIZES}
    for split, _, _, pair in generate_pairs(seed):
        corpus[split].append(pair)
    for pairs in corpus.values():
        random.Random(seed).shuffle(pairs)
    return corpus


def write_corpus(folder: str | Path, seed: int = 0) -> None:
    """Write <folder>/{train,dev,test}.tsv.gz (UTF-8, a header, no quoting) and candidates.txt.

    candidates.txt has the second headlines of the test pairs. Equal seeds give equal bytes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    corpus = generate(seed)
    for split, pairs in corpus.items():
        lines = ["\t".join(map(str, row)) + "\n" for row in [Pair._fields, *pairs]]
        # mtime: the same bytes every time
        data = gzip.compress("".join(lines).encode(), mtime=0)
        (folder / f"{split}.tsv.gz").write_bytes(data)
    candidates = "".join(f"{pair.sentence2}\n" for pair in corpus["test"])
    (folder / "candidates.txt").write_text(candidates, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder",
        help="where train.tsv.gz, dev.tsv.gz, test.tsv.gz and candidates.txt are written",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="another seed gives another corpus (default: %(default)s)",
    )
    args = parser.parse_args()
    write_corpus(args.folder, args.seed)
    print(f"wrote {sum(SIZES.values())} headline pairs (seed {args.seed}) to {args.folder}")


if __name__ == "__main__":
    main()
