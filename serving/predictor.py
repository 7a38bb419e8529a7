"""KServe's custom model: requests of the V1 and V2 protocols to slates, each logged before it is answered."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kserve
from kserve.errors import InvalidInput

from newsrec.features import HISTORY_LENGTH, HOUR
from serving import logs
from serving.arms import Arm
from serving.backends import Backends
from serving.bundle import Bundle
from serving.explain import Explainer, TooMuch
from serving.failures import EVENT_LOG_FAILURES, one_line
from serving.metrics import SLATES
from serving.payloads import INPUT, OUTPUT, elements, from_json, parsed, tensor
from serving.precompute import BatchConfig, stored_ranking
from serving.recommend import Decision, ServingConfig, Shelf, UnknownArticles, Visit, chosen, ranked
from serving.schema import SlateRequest
from serving.server import NotReady
from serving.slate_log import SlateLog
from serving.stored_readers import OnlineReader, StoredReaders

THREADS = 8
MANY = 4
"""A call for more readers than this is answered in a thread, so that calls for one are answered in between."""
LOG_SECONDS = 0.05
"""How long a request waits for what the event log alone knows of a reader; without it, what was read may come back."""
log = logging.getLogger(__name__)


class Predictor(kserve.Model):
    """Answers from its ``bundle`` and the reader's features in the online store.

    Of a mixture each reader gets the policy of their arm. Every decision is put into ``slate_log`` before it is
    answered; without one nothing is logged. A call is answered on the event loop: one read of the online store, shared
    by those who come together, and some products. ``nearline`` takes readers' vectors from the store where they are
    fresh; otherwise, and for those that are not, the history tower runs in the request. With ``batch`` slates are drawn
    from what was scored in advance, where that still serves (``serving.precompute``).
    """

    bundle: Bundle
    """The current one, replaced whole by ``adopt``."""

    def __init__(
        self,
        name: str,
        bundle: Bundle,
        backends: Backends,
        config: ServingConfig,
        slate_log: SlateLog | None = None,
        nearline: bool = True,
        batch: BatchConfig | None = None,
    ) -> None:
        super().__init__(name)
        self.bundle, self._backends = bundle, backends
        self._config, self._slate_log = config, slate_log
        self._readers, self._batch = StoredReaders(backends.store, nearline, slates=batch is not None), batch
        self._threads, self._explainer = ThreadPoolExecutor(THREADS, "slate"), Explainer()
        self.load()

    def load(self) -> bool:
        """Ready where the store holds the very features that the policy was trained on."""
        misfit = self.bundle.misfit(self._backends.store)
        self.ready = misfit is None
        if misfit is not None:
            self._why = misfit
            log.error("not ready: %s", self._why)
        return self.ready

    def adopt(self, bundle: Bundle) -> None:
        """Answer from ``bundle`` from now on; requests in flight end with the one they began with."""
        self.bundle = bundle
        self.load()

    async def healthy(self) -> bool:
        """True. Raises NotReady with both hashes where artefact and store disagree."""
        if not self.ready:
            raise NotReady(self.name, self._why)
        return True

    async def fit(self) -> bool:
        """True where it is healthy and what it decides comes into the event log. Raises NotReady."""
        if self._slate_log is not None and (why := self._slate_log.complaint()):
            raise NotReady(self.name, why)
        return await self.healthy()

    def warm_up(self) -> None:
        """Make a slate for nobody by each policy, so that no first reader waits for lazy set-up; none is logged."""
        if self.ready:
            for arm in self.bundle.arms.all:
                self._decided_alone(self.bundle, SlateRequest(user_id="nobody"), self._backends.clock(), arm)

    def get_input_types(self) -> list[dict]:
        return [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict]:
        return [{"name": OUTPUT, "datatype": "BYTES", "shape": [-1]}]

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """V1: ``{"predictions": [...]}``; V2: the tensor ``response``. Raises InvalidInput with one sentence."""
        await self.healthy()  # KServe's gRPC route does not ask
        began, bundle, v2 = time.perf_counter_ns(), self.bundle, isinstance(payload, kserve.InferRequest)
        requests = parsed({"instances": elements(payload)} if v2 else from_json(payload))
        SLATES.stages["parse"].since(began)
        answers = await self._answer(bundle, requests)
        return tensor(payload, answers, self.name, bundle.released.version) if v2 else {"predictions": answers}

    async def explain(self, payload: Any, headers: Any = None) -> Any:
        """V1 alone: the slate that ``predict`` would give, and the reads that drove each position; not logged."""
        await self.healthy()
        bundle, now, requests = self.bundle, self._backends.clock(), parsed(from_json(payload))

        def decide(request: SlateRequest) -> tuple[Decision, Shelf]:
            decision = self._decided_alone(bundle, request, now)
            return decision, bundle.live.shelves[bundle.arms.of(decision.visit.user_id).shelf]

        try:
            return {"explanations": await self._explainer.explain(requests, decide)}
        except (TooMuch, UnknownArticles) as error:
            raise InvalidInput(str(error)) from None

    async def _answer(self, bundle: Bundle, requests: list[SlateRequest]) -> list[dict[str, Any]]:
        now, began = self._backends.clock(), time.perf_counter_ns()
        if self._slate_log is not None:
            self._slate_log.refuse_beyond(len(requests))
        user_ids = [self._backends.stored_id(request.user_id) for request in requests]
        readers = await self._readers.of(user_ids)
        asked = [
            self._visit(bundle, request, logs.new_id(), user_id, reader, now)
            for request, user_id, reader in zip(requests, user_ids, readers, strict=True)
        ]
        visits = [await self._with_all_reads(visit) if self._may_lack_reads(visit) else visit for visit in asked]
        SLATES.stages["store"].since(began)
        try:
            if len(visits) <= MANY:
                decisions = [self._decide(bundle, visit) for visit in visits]
            else:
                loop = asyncio.get_running_loop()
                decide = [loop.run_in_executor(self._threads, self._decide, bundle, visit) for visit in visits]
                decisions = await asyncio.gather(*decide)
        except UnknownArticles as error:
            raise InvalidInput(str(error)) from None
        began = time.perf_counter_ns()
        logged = [decision.event() for decision in decisions if decision.slate]  # an empty slate decides nothing
        if self._slate_log is not None and logged:
            self._slate_log.put(logged)
        SLATES.stages["log"].since(began)
        SLATES.answered(decisions)
        return [decision.answer() for decision in decisions]

    def _visit(
        self, bundle: Bundle, request: SlateRequest, request_id: str, user_id: str, reader: OnlineReader, now: int
    ) -> Visit:
        arm, (features, degraded, vector, slate) = bundle.arms.of(user_id), reader
        names = arm.experiment, arm.name
        return Visit(request, request_id, user_id, features, degraded, now, (), *names, vector, slate)

    def _decide(self, bundle: Bundle, visit: Visit, arm: Arm | None = None) -> Decision:
        """By ``arm``, else by the reader's own."""
        began, given = time.perf_counter_ns(), visit.request.seed
        seed = visit.request_id.encode() if given is None else b"seed %d" % given
        arm = arm or bundle.arms.of(visit.user_id)
        shelf, artifact, config = bundle.live.shelves[arm.shelf], arm.artifact, self._config
        found = stored_ranking(visit, shelf, artifact, config, self._batch) if self._batch else None
        rows, scores = found or ranked(visit, shelf, artifact, config)
        began = SLATES.stages["score"].since(began)
        decision = chosen(visit, rows, scores, shelf, artifact, config, seed)
        SLATES.stages["draw"].since(began)
        return decision

    def _decided_alone(self, bundle: Bundle, request: SlateRequest, now: int, arm: Arm | None = None) -> Decision:
        """A decision outside the event loop, which waits for all that is read."""
        user_id = self._backends.stored_id(request.user_id)
        (reader,) = self._readers.read([user_id])
        visit = self._visit(bundle, request, logs.new_id(), user_id, reader, now)
        if self._may_lack_reads(visit):
            visit = visit._replace(read=self._read_since(user_id, self._oldest(visit)))
        return self._decide(bundle, visit, arm)

    def _oldest(self, visit: Visit) -> int:
        """The moment of the oldest article that may be shown."""
        return visit.time - int(self._config.shelf_life_hours * HOUR)

    def _may_lack_reads(self, visit: Visit) -> bool:
        """Whether an article that may be shown can have been read without standing in the packed history.

        The history keeps the latest reads, to the second: full of reads that are all so new that one before them may be
        of such an article, too.
        """
        features = visit.features
        full = features.length[0] == HISTORY_LENGTH
        return visit.degraded or bool(full and (int(features.time[0, 0]) + 1) * 1_000_000 > self._oldest(visit))

    async def _with_all_reads(self, visit: Visit) -> Visit:
        """``visit`` with what the event log knows to be read, as far as it says so in its time."""
        asked = logs.in_thread(self._threads, self._read_since, visit.user_id, self._oldest(visit))
        try:
            return visit._replace(read=await asyncio.wait_for(asked, LOG_SECONDS))
        except TimeoutError:
            log.warning("only the latest reads are left out, the event log takes too long")
            return visit

    def _read_since(self, user_id: str, time: int) -> tuple[str, ...]:
        """What the event log knows to be read; nothing where it does not answer, the packed history bars the latest."""
        try:
            return tuple(self._backends.database.read_since(user_id, time))
        except EVENT_LOG_FAILURES as error:
            log.warning("only the latest reads are left out, the event log does not answer: %s", one_line(error))
            return ()
