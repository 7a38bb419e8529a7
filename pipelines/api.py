"""The API of Kubeflow Pipelines on a cluster: a client, and whatever goes wrong with it as one sentence."""

import contextlib
import io
import json
import os
import re
import warnings
from collections.abc import Iterator

from kfp import Client
from kfp.client.client import KF_PIPELINES_UI_ENDPOINT_ENV
from kfp_server_api import V2beta1GetHealthzResponse
from kfp_server_api.exceptions import ApiException
from urllib3.exceptions import HTTPError

from newsrec.config import InvalidConfig

EXPERIMENT = "newsrec"
"""What all runs are grouped under."""
PORT_FORWARD = "kubectl -n kubeflow port-forward service/ml-pipeline 8888:8888"
FIRST_ANSWER_SECONDS = 5.0


class ApiFailed(RuntimeError):
    """The API did not answer, or refused; the message says what to do."""


class _Client(Client):
    """KFP's own waits half a minute, with a traceback for each try, to learn that no API is there."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> V2beta1GetHealthzResponse:
        return self.healthzs.healthz_service_get_healthz(_request_timeout=FIRST_ANSWER_SECONDS)


@contextlib.contextmanager
def api(host: str) -> Iterator[Client]:
    """A client of the API at the URL ``host``. Inside, what goes wrong with the API is raised as ApiFailed."""
    if not host.startswith(("http://", "https://")):
        raise InvalidConfig(f"host is {host!r}, expected a URL such as http://localhost:8888 (after: {PORT_FORWARD})")
    try:
        with warnings.catch_warnings(action="ignore"):  # of each client, that it is for KFP 2
            client = _Client(host=host)
        if client.get_kfp_healthz().multi_user is None:
            raise ApiFailed(_no_api(host, "an answer that is not the API's, perhaps a log-in page"))
        yield client
    except ApiException as error:
        raise ApiFailed(_refusal(host, error)) from None
    except HTTPError as error:
        raise ApiFailed(_no_api(host, f"no answer ({_cause(error)})")) from None


def experiment(client: Client) -> str | None:
    """The id of EXPERIMENT, None where nothing was ever submitted."""
    try:
        return client.get_experiment(experiment_name=EXPERIMENT).experiment_id
    except ValueError:  # how KFP's client says that there is none
        return None


def made_experiment(client: Client) -> str:
    """The id of EXPERIMENT, made where it is missing."""
    with contextlib.redirect_stdout(io.StringIO()):  # the client prints a link
        return client.create_experiment(EXPERIMENT).experiment_id


def link(host: str, run_id: str) -> str:
    """Where a browser shows the run. KF_PIPELINES_UI_ENDPOINT says where the interface is, if not at ``host``."""
    interface = os.environ.get(KF_PIPELINES_UI_ENDPOINT_ENV, host).rstrip("/")
    return f"{interface}/#/runs/details/{run_id}"


def _no_api(host: str, found: str) -> str:
    return f"{found} from {host}, expected the API of Kubeflow Pipelines; reach it with: {PORT_FORWARD}"


def _refusal(host: str, error: ApiException) -> str:
    match error.status:
        case 401 | 403:
            return f"{_no_api(host, f'access refused ({error.status})')} and --host http://localhost:8888"
        case 404 if not _message(error):
            return _no_api(host, "not found (404)")
    message = _message(error) or error.reason
    advice = "; look at: kubectl -n kubeflow logs deployment/ml-pipeline" if error.status >= 500 else ""
    return f"the API of Kubeflow Pipelines at {host} refused ({error.status}): {message}{advice}"


def _message(error: ApiException) -> str:
    """What the API itself says, "" where the answer is not the API's."""
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        return ""
    return str(body.get("message", "")) if isinstance(body, dict) else ""


def _cause(error: HTTPError) -> str:
    """``Connection refused`` out of urllib3's nested errors."""
    reason = getattr(error, "reason", None) or error
    return re.sub(r"\[Errno -?\d+\] ", "", str(reason).rpartition(": ")[2])
