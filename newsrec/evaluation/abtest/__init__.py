"""A/B tests over weeks: who was assigned, what became of them, and what may be said while everybody is looking."""
