"""The tables of docs/titles.md, made of a file of results."""

from typing import Any

LOGS = {"chinese": "MIND-5k zh, 14 Nov", "MIND-5k en": "MIND-5k en, all days", "NeMig en": "NeMig en"}


def orders(figures: dict[str, Any]) -> str:
    """AUC within the impression by log and order."""
    rows = ["| log | order | AUC | 95 % interval |", "|---|---|---|---|"]
    for name, log in LOGS.items():
        found = figures["chinese"] if name == "chinese" else figures["english"][name]
        where = f"{log} ({found['impressions']:,} impressions, {found['readers']:,} readers)"
        for order, mean in found.items():
            if isinstance(mean, dict) and "low" in mean and order != "above chance":
                rows.append(f"| {where} | {order} | {mean['value']:.3f} | [{mean['low']:.3f}, {mean['high']:.3f}] |")
                where = ""
    return "\n".join(rows) + "\n"


def korean(figures: dict[str, Any]) -> str:
    """Both AUCs and the mean cosines by encoder."""
    kinds = ("same story", "sharing words", "other stories")
    rows = [
        "| encoder | AUC against sharing words | AUC against other stories | mean cosines: " + ", ".join(kinds) + " |"
    ]
    rows.append("|---|---|---|---|")
    for encoder, found in figures["korean"].items():
        aucs = [f"{a['value']:.3f} [{a['low']:.3f}, {a['high']:.3f}]" for a in found["auc"].values()]
        cosines = ", ".join(f"{found['mean cosine'][kind]:.2f}" for kind in kinds)
        rows.append(f"| {encoder} | {aucs[0]} | {aucs[1]} | {cosines} |")
    return "\n".join(rows) + "\n"
