"""Public and foreign formats to event logs: one module a format, each with ``read(path, ...) -> EventLog``.

``foreign`` makes up, in one place, what such formats lack; ``delimited`` reads text tables and names the line of an
error. A log that comes back is valid (``events.validate``) and carries flags for all that was made up.
"""
