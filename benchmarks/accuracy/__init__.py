"""Accuracy and speed of the rankers to beat, by the protocols of published figures, beside implicit and RecTools."""
