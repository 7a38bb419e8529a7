"""Hyperparameters: as many trials for each policy, by the ranking or by active days."""
