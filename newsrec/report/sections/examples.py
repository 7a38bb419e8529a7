"""What a few readers would have seen under two policies, and why."""

from typing import Any

from newsrec.report.blocks import Article, Block, Cell, Points, Section, Slate, Slates, Text, missing
from newsrec.report.numbers import clock, counted

ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def examples(found: dict[str, Any] | None) -> Section:
    title = "What readers would see"
    if not found or not found["examples"]:
        why = "There are no slates here (examples.json): this is no run of the pipeline, an older one or of one policy."
        return missing("examples", title, why)
    blocks: list[Block] = [Text(found["choice"])]
    for one in found["examples"]:
        known, offered = counted(one["reads"], "read"), counted(one["candidates"], "candidate")
        about = f"{one['meaning'].capitalize()}; {known} known, {offered}, {clock(one['time'])} UTC"
        slates = one["slates"]
        titles = {name: {article["title"] for article in slate["articles"]} for name, slate in slates.items()}
        sides = []
        for name, slate in slates.items():
            others = set().union(*(shown for other, shown in titles.items() if other != name))
            articles = [_article(article, others) for article in slate["articles"]]
            sides.append(Slate(name, slate["note"] or "", articles))
        kind = str(one["reader"]).removesuffix("s")
        blocks.append(Slates(f"{'An' if kind[0] in 'aeio' else 'A'} {kind}", about, sides))
    blocks.append(
        Text(
            "“Driven by” names earlier reads that spoke for an article, with their share of all that the history does "
            "to its score, for and against (integrated gradients, or leaving one read out at a time). Of a policy with "
            "values, the click value is what showing an article brings if its read is worth the average, the long-term "
            "value counts its own worth; both in clicks.",
            "quiet",
        )
    )
    if found["left_out"]:
        blocks.append(Points([Cell(sentence) for sentence in found["left_out"]]))
    return Section("examples", title, blocks)


def _article(found: dict[str, Any], others: set[str]) -> Article:
    age = None if found["hours_old"] is None else f"{found['hours_old']:,.0f} h old"
    about = " · ".join(part for part in (found["category"], age, found["logged"]) if part)
    reads = [(f"{read['share']:.0%}", read["title"]) for read in found["reads"]]
    return Article(found["title"], about, reads, _move(found["move"]), found["title"] not in others)


def _move(move: dict[str, Any] | None) -> str:
    """Why it stands where it does, of a policy with values."""
    if move is None:
        return ""
    click, place = move["click_rank"], move["rank"]
    values = f"click value {move['click_value']:.3f}, long-term value {move['long_term_value']:.3f}"
    if click == place:
        return f"{_ordinal(click)} by clicks alone, too: {values}"
    return f"Moved {'up' if click > place else 'down'} from {_ordinal(click)} by clicks alone: {values}"


def _ordinal(number: int) -> str:
    return ORDINALS.get(number, f"{number}th") if number < 20 else f"number {number}"
