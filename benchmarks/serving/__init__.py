"""Our predictor beside stock KServe and Feast in the usual designs, and beside what the machine could do at most."""
