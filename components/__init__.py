"""KFP components: each body imports newsrec or feature_repo and calls one function.

The one form below runs as a local subprocess, in a container and in the cluster. ``IMAGE`` is named here and nowhere
else. Parameters called ``data`` and ``code`` are digests that no body reads: KFP's cache sees neither the files behind
a path nor the library behind an image tag, so they stand in the cache key instead.
"""

import functools

from kfp import dsl

IMAGE = "newsrec-pipeline:0.1.0"
component = functools.partial(dsl.component, base_image=IMAGE, install_kfp_package=False)
