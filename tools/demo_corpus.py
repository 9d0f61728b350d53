"""A built-in corpus of headline pairs, so that every command runs without a download: `python tools/demo_corpus.py data/demo`.

Invented events, a small grammar, five labels in equal shares. A label says what two events have in common:

    1     the same event
    0.75  the same topic and the same country, but another event
    0.5   the same topic or the same country
    0.25  the same general topic or the same region
    0     none of these

Words alone do not give the label away: the two headlines of one event differ in template, wording and the name of the
place; headlines of different events often share number, day, frame ("officials say on Monday") and shape. No event (all
of its slots) and no headline occurs in two pairs, so none occurs in two splits either.
"""

import argparse
import gzip
import random
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SIZES = {"train": 1400, "dev": 300, "test": 300}

# label -> what the two events share; a label with two sources takes them in turn
SOURCES = {0.0: ["unrelated"], 0.25: ["general topic", "region"], 0.5: ["topic", "country"]}

SOURCES |= {0.75: ["topic and country"], 1.0: ["same event"]}

SHARED_FORM = 0.6  # chance that headlines of two events share each of: number, day, frame, shape, city or country

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]

NUMBERS = {
    3: "three",
    4: "four",
    5: "five",
    6: "six",
    7: "seven",
    8: "eight",
    9: "nine",
}  # no "one": nouns stay plural

FRAMES = [
    "{core}",
    "{core}, officials say on {day}",
    "{day} briefing: {core}",
    "{core}, agencies say on {day}",
]

# region: country, demonym, capital, another city; ...
REGIONS = """
East Africa: Kenya, Kenyan, Nairobi, Mombasa; Tanzania, Tanzanian, Dodoma, Arusha; Rwanda, Rwandan, Kigali, Huye
West Africa: Ghana, Ghanaian, Accra, Kumasi; Nigeria, Nigerian, Abuja, Lagos; Senegal, Senegalese, Dakar, Thies
North Africa: Egypt, Egyptian, Cairo, Luxor; Morocco, Moroccan, Rabat, Marrakesh; Tunisia, Tunisian, Tunis, Sfax
Northern Europe: Norway, Norwegian, Oslo, Bergen; Sweden, Swedish, Stockholm, Uppsala; Finland, Finnish, Helsinki, Turku
Southern Europe: Portugal, Portuguese, Lisbon, Porto; Greece, Greek, Athens, Patras; Italy, Italian, Rome, Naples
South America: Peru, Peruvian, Lima, Cusco; Chile, Chilean, Santiago, Valdivia; Colombia, Colombian, Bogota, Medellin
Southeast Asia: Vietnam, Vietnamese, Hanoi, Hue; Thailand, Thai, Bangkok, Phuket; Indonesia, Indonesian, Jakarta, Medan
"""

# "# general topic", then subtopics as "topic: templates = details". Templates: a | b | c, where {adj} is the demonym,
# {place} the country or a city, {what} the detail, {n} a digit, {word} the same in letters. Details: a/same as a; b/...
# Keep it grammatical: no "a" before {adj} or {n}; {what} before a verb only where every detail agrees with it.
GRAMMAR = """
# disasters
floods: {adj} crews move {n}00 people from {what} as water rises | floods drive hundreds from {what} in {place} | heavy
  rain puts {what} in {place} under water = riverside homes/waterfront houses; lakeside stalls/a shore market
floods: {adj} cabinet pays {n} million dollars for {what} against floods | {place} to get {what} to keep high water out
  | {what} to shield {place} from flooding = embankments/raised river walls; storm drains/rainwater channels
wildfires: {adj} firefighters battle blaze in {what} | wildfire burns {n}00 hectares of {what} in {place} | flames sweep
  through {what} in {place} = pine forest/woodland of conifers; dry grassland/parched meadows
wildfires: {adj} government bans {what} to prevent wildfires | {what} outlawed in {place} as forests dry out | fire risk
  leads {place} to prohibit {what} for {word} weeks = campfires/outdoor cooking; fireworks/firecrackers
drought: {adj} authorities ration {what} as reservoirs run dry | drought forces {place} to limit {what} for {word}
  months | {what} cut back in {place} after lack of rain = household water/home tap supplies; irrigation/crop watering
drought: {adj} farmers hit by drought receive {what} | dry villages in {place} given {what} | aid agency takes {what} to
  {n},000 rainless farms in {place} = animal feed/livestock fodder; hardy seeds/tough grain
# economy
prices: {adj} shoppers pay {n} percent more for {what} | inflation pushes up cost of {what} in {place} | {what} dearer
  than ever for households in {place} = bread/bakery goods; petrol/motor fuel; cooking oil/kitchen fats
prices: {adj} central bank {what} to steady prices | monetary body in {place} {what} | to fight inflation, regulator in
  {place} {what} = lifts interest rates/makes loans dearer; cuts interest rates/makes borrowing cheaper
jobs: {adj} {what} strike for {word} days over pay | wage dispute sees {what} in {place} down tools | walkout by {what}
  seeking higher salaries disrupts {place} = bus drivers/coach crews; baggage handlers/airport porters
jobs: {adj} jobseekers queue for {n}00 posts at {what} | hundreds find work in {place} as {what} opens | {what} to hire
  {n}00 employees in {place} = a shoe factory/a footwear plant; a car plant/a vehicle assembly line
trade: {adj} exporters win {n}-year deal to sell {what} | foreign buyers sign contract for {what} from {place} | trade
  pact opens overseas markets to {what} from {place} = furniture/tables and chairs; timber/sawn wood
trade: {adj} government puts {n}0 percent tariff on {what} | new customs duty makes {what} costlier in {place} | firms
  in {place} face border tax on {what} = imported cars/vehicles from abroad; imported steel/foreign metal
# sport
football: {adj} footballers win {what} {n}-0 | late goals give {place} victory in {what} | soccer fans in {place} cheer
  home win in {what} = the cup final/the title decider; the opening match/the season's first game
football: {adj} football federation names {what} | soccer bosses in {place} appoint {what} | {what} to revive football
  in {place} = a foreign manager/a head coach from abroad; a new captain/a fresh team leader
athletics: {adj} runners break national record in {what} | athletes from {place} beat best time in {what} | stars from
  {place} finish {what} faster than ever = the marathon/the long road race; the relay/the baton race
athletics: {adj} track and field athletes get {what} | {what} for runners opens in {place} | sprinters in {place} to
  train at {what} with {n}00 places = a summer camp/a holiday base; an indoor arena/a covered stadium
cycling: {adj} cyclist wins {what} by {n} seconds | rider from {place} pedals to victory in {what} | bike racer from
  {place} takes {what} = the mountain stage/the uphill leg; the time trial/the race against the clock
cycling: {adj} cycling tour to follow {what} for {word} days | bike racers to cross {what} in {place} | {place} to stage
  bicycle race along {what} = gravel tracks/unpaved roads; cobbled lanes/old stone streets
# politics
elections: {adj} voters hand election victory to {what} | {what} wins ballot in {place} by {word} points | count gives
  {what} most seats in {place} = the ruling party/the governing bloc; the opposition/the challengers' alliance
elections: {adj} electoral commission approves {what} | {place} introduces {what} for next ballot | some {n},000 people
  in {place} to try {what} = internet voting/online polling; postal votes/ballots sent by mail
corruption: {adj} {what} resigns over corruption claims | bribery inquiry topples {what} in {place} | graft scandal ends
  career of {what} in {place} = transport minister/roads minister; finance minister/treasury chief
corruption: {adj} lawmakers ban {what} to fight corruption | anti-bribery bill in {place} targets {what} | {what}
  illegal under graft law in {place} = official gifts/presents for civil servants; shell companies/front firms
diplomacy: {adj} foreign minister signs {what} with {word} nations | diplomats in {place} conclude {what} | {what}
  agreed at talks between envoys in {place} = a border pact/a frontier treaty; a fishing accord/a deal on shared waters
diplomacy: {adj} hosts welcome foreign envoys to {what} | {place} to receive {n}0 delegations for {what} | dignitaries
  gather in {place} for {what} = a peace conference/talks on ending conflicts; a climate summit/a global warming meeting
# science
space: {adj} rocket carries {what} into orbit | {what} launched from space centre in {place} | crowds in {place} cheer
  as {what} lifts off = a weather satellite/a storm watcher; a moon probe/a lunar explorer
space: {adj} astronomers see {what} in night sky | {what} spotted by stargazers in {place} | telescope in {place}
  reveals {what} = a distant planet/a far-off world; a bright comet/an icy visitor with a tail
energy: {adj} engineers switch on {what} for {n},000 homes | {what} starts supplying green electricity in {place} |
  renewable power flows in {place} from {what} = a solar farm/a field of sun panels; a wind park/a cluster of turbines
energy: {adj} researchers build {what} to store clean power | laboratory in {place} unveils {what} for green grid |
  {what} tested for {word} months in {place} = a salt battery/a saline power cell; a sand heater/a hot sand store
internet: {adj} users lose {what} for {word} hours | network fault hits {what} in {place} | {what} offline across
  {place} after cable damage = mobile internet/phone data services; banking apps/online payment tools
internet: {adj} software firm launches {what} | start-up in {place} releases {what} for {n},000 users | programmers in
  {place} unveil {what} = a translation app/a speech interpreter; a digital map/an online street guide
"""


class Pair(NamedTuple):
    """One row of the corpus; `source` says what the two events share."""

    sentence1: str
    sentence2: str
    score: float
    source: str


Country = namedtuple("Country", "region name demonym capital city")

Subtopic = namedtuple("Subtopic", "general_topic topic templates details")


class Event(NamedTuple):
    """What happened, however a headline puts it; equal slots mean the same event."""

    subtopic: Subtopic
    country: Country
    city: str
    detail: tuple[str, ...]
    number: int
    day: str


def _subtopics() -> Iterator[Subtopic]:
    for section in GRAMMAR.replace("\n  ", " ").split("\n# ")[1:]:
        general_topic, *lines = section.splitlines()
        for topic, rest in (line.split(": ") for line in lines):
            templates, details = rest.split(" = ")
            wordings = tuple(tuple(detail.split("/")) for detail in details.split("; "))
            yield Subtopic(general_topic, topic, tuple(templates.split(" | ")), wordings)


_REGIONS = [line.split(": ") for line in REGIONS.strip().splitlines()]

COUNTRIES = [
    Country(region, *entry.split(", "))
    for region, entries in _REGIONS
    for entry in entries.split("; ")
]

SUBTOPICS = list(_subtopics())


def _shared(a: Event, b: Event) -> str:
    """The source of a pair of events: the most that they share, by the rubric above."""
    topic, country = a.subtopic.topic == b.subtopic.topic, a.country == b.country
    if topic and country:
        return "same event" if a == b else "topic and country"
    if topic or country:
        return "topic" if topic else "country"
    if a.subtopic.general_topic == b.subtopic.general_topic:
        return "general topic"
    return "region" if a.country.region == b.country.region else "unrelated"


def _draw(rng: random.Random, like: Event | None = None) -> Event:
    """Any event; drawn `like` another it often takes over its number and its day."""
    subtopic, country = rng.choice(SUBTOPICS), rng.choice(COUNTRIES)
    city, detail = rng.choice(country[-2:]), rng.choice(subtopic.details)
    number = like.number if like and rng.random() < SHARED_FORM else rng.choice(list(NUMBERS))
    day = like.day if like and rng.random() < SHARED_FORM else rng.choice(DAYS)
    return Event(subtopic, country, city, detail, number, day)


def _draw_other(rng: random.Random, event: Event, source: str) -> Event:
    """An event that shares with `event` what `source` says."""
    while True:
        other = _draw(rng, like=event)
        # only subtopic, country and detail show in every headline: another event must differ in one of them
        if _shared(event, other) == source and (event[:2], event.detail) != (
            other[:2],
            other.detail,
        ):
            return other


def _headline(event: Event, template: int, wording: int, name_city: bool, frame: str) -> str:
    place, what = event.city if name_city else event.country.name, event.detail[wording]
    words = {
        "adj": event.country.demonym,
        "place": place,
        "what": what,
        "word": NUMBERS[event.number],
    }
    core = event.subtopic.templates[template].format(n=event.number, **words)
    text = frame.format(core=core, day=event.day)
    return text[0].upper() + text[1:]


def _headlines(rng: random.Random, first: Event, second: Event) -> tuple[str, str]:
    """One event in two forms that differ throughout; two events in forms that are often alike."""
    choices = (range(3), range(2), (False, True), FRAMES)  # the arguments of _headline
    forms = [rng.sample(choice, 2) for choice in choices]
    if first != second:
        forms = [(a, a if rng.random() < SHARED_FORM else b) for a, b in forms]
    return _headline(first, *(a for a, _ in forms)), _headline(second, *(b for _, b in forms))


def _pairs(seed: int) -> Iterator[tuple[str, Event, Event, Pair]]:
    """(split, first event, second event, pair) for the whole corpus, sorted by split and label."""
    rng, used = random.Random(seed), set()
    plan = [
        (split, score, i)
        for split, n in SIZES.items()
        for score in SOURCES
        for i in range(n // len(SOURCES))
    ]
    for split, score, i in plan:
        source = SOURCES[score][i % len(SOURCES[score])]
        while True:
            first = _draw(rng)
            second = first if source == "same event" else _draw_other(rng, first, source)
            pair = Pair(*_headlines(rng, first, second), score, source)
            new = {first, second, *pair[:2]}
            if used.isdisjoint(new):
                break
        used |= new
        yield split, first, second, pair


def generate(seed: int = 0) -> dict[str, list[Pair]]:
    """The corpus {"train": 1400 pairs, "dev": 300, "test": 300}, each split shuffled, each label a fifth of it.

    The seed alone decides: equal seeds give equal corpora in every process.
    """
    corpus: dict[str, list[Pair]] = {split: [] for split in SIZES}
    for split, _, _, pair in _pairs(seed):
        corpus[split].append(pair)
    for rows in corpus.values():
        random.Random(seed).shuffle(rows)
    return corpus


def write_corpus(folder: str | Path, seed: int = 0) -> None:
    """Write <folder>/{train,dev,test}.tsv.gz (UTF-8, tabs, no quoting, a header) and candidates.txt, the second headlines of
    the test pairs: the same bytes on every call."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    corpus = generate(seed)
    for split, rows in corpus.items():
        text = "".join("\t".join(map(str, row)) + "\n" for row in [Pair._fields, *rows])
        (folder / f"{split}.tsv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    candidates = "".join(f"{pair.sentence2}\n" for pair in corpus["test"])
    (folder / "candidates.txt").write_text(candidates, "utf-8")


def main() -> None:
    """The command line: a folder and a seed."""
    parser = argparse.ArgumentParser(
        prog="python -m sbert.demo", description="Write the demo corpus."
    )
    parser.add_argument(
        "folder", help="where train.tsv.gz, dev.tsv.gz, test.tsv.gz and candidates.txt go"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="another seed gives another corpus (default: %(default)s)",
    )
    args = parser.parse_args()
    write_corpus(args.folder, args.seed)
    print(
        f"wrote {sum(SIZES.values())} headline pairs (seed {args.seed}): {args.folder}/{{train,dev,test}}.tsv.gz"
    )


if __name__ == "__main__":
    main()
