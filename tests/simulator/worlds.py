"""What tests know of a simulated log that its readers do not."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.identity import ids, user_number


def readers_of(config: SimulationConfig, user_ids: pa.ChunkedArray) -> np.ndarray:
    """[n] number of the reader behind each of ``user_ids``, whatever cookies they cleared (up to 40 times)."""
    reader = np.repeat(np.arange(config.readers), 40)
    clearings = np.tile(np.arange(40), config.readers)
    row = pc.index_in(user_ids, value_set=ids(config.seed, "u", user_number(config.seed, reader, clearings)))
    return reader[row.to_numpy()]
