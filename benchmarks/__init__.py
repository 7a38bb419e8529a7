"""One command each: prints a table with protocol, seeds, intervals and machine, and writes ``results/NAME.json``."""
