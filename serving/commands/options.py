"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from serving import logs

HOST = "127.0.0.1"
KEY_VARIABLE = "NEWSREC_READER_KEY"
STORE, EVENT_LOG = Path("runs/store"), "sqlite:///runs/events.db"
"""Where ``python -m pipelines run`` leaves the store, and an event log beside it."""

Store = Annotated[Path, typer.Option(help="Folder of the feature store.")]
EventLog = Annotated[str, typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/NAME")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")]
ReaderKey = Annotated[
    Path | None,
    typer.Option(
        help=f"File with the key under which reader ids are hashed before they are stored (or {KEY_VARIABLE})."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token that callers must bear (or NEWSREC_TOKEN): of the collector, to load models."
    ),
]
State = Annotated[
    Path | None,
    typer.Option(help="Folder where slates are counted over a crash; else beside SQLite's file, or a temporary one."),
]
BelowHorizon = Annotated[
    bool, typer.Option("--below-horizon", help="Delete decisions, too, whose 28 days of returns are not over.")
]
LogFormat = Annotated[logs.Format, typer.Option(help="Of log lines; json is one object a line.")]
Method = Literal["epsilon", "plackett_luce", "greedy"]
Inference = Literal["online", "nearline", "batch"]
ShelfLife = Annotated[float, typer.Option(help="Age at which an article expires.")]
Shortlist = Annotated[int, typer.Option(min=1, max=500, help="Articles that are scored, where more are live.")]
SlateHours = Annotated[float, typer.Option(min=0.0, help="Age beyond which a slate scored in advance is not used.")]
Served = Annotated[Path, typer.Argument(help="What is served: a mixture, or a releases folder.")]
