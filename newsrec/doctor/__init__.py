"""Which questions a log can answer, with counts: ``diagnose(log) -> Diagnosis``, and its rendering.

One function finds out one thing about a log and says what it costs each part of the product; what a part can do with
the log is the sum of those costs. ``slates``, ``readers``, ``reading`` and ``records`` hold the functions by what they
look at: what was chosen, who came and when, what was read, and how all of it was written down.
"""
