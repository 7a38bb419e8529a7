"""newsrec: a news recommender that learns what brings readers back."""

__version__ = "0.1.0"
