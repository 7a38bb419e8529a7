"""Titles as vectors: what they are worth, how fast they are made, and what is left of them in Korean."""
