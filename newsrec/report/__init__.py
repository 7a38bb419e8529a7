"""One HTML page of a run of the pipeline or of a simulated study: no network, no script, every text escaped."""
