"""``python -m serving.health [URL]``: exit code 0 where the server in this container is ready, else one sentence.

Without URL it asks the predictor, or the collector where nothing listens on the predictor's port. Imports nothing that
takes time.
"""

import sys
import urllib.error
import urllib.request

PREDICTOR = "http://127.0.0.1:8080/v2/health/ready"
COLLECTOR = "http://127.0.0.1:8090/healthz"
SECONDS = 4


def complaint(*urls: str) -> str | None:
    """None where the first of ``urls`` on which something listens answers 200, else what was found instead."""
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=SECONDS):
                return None
        except urllib.error.HTTPError as error:
            return f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}"
        except OSError as error:
            reason = getattr(error, "reason", error)
            if not isinstance(reason, ConnectionRefusedError):
                return f"{url} does not answer: {reason}"
    return f"nothing listens at {' or '.join(urls)}"


if __name__ == "__main__":
    sys.exit(complaint(*(sys.argv[1:] or (PREDICTOR, COLLECTOR))))
