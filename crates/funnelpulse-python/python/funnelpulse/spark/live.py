"""One micro-batch of one site: closed hours in, verdicts out. Runs on an executor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from funnelpulse.errors import FunnelPulseError, ModelError
from funnelpulse.spark.schema import SITE, Layout, conform, sorted_rows
from funnelpulse.spark.state import SiteState, Store, from_ipc, saved_model, to_ipc
from funnelpulse.spark.worker import use_task_cores

#: Live pipelines of this process, by the digest of their state, and how many there may be.
_KEPT: dict[bytes, tuple[Any, Any]] = {}
_MAX_KEPT = 32


@dataclass(frozen=True)
class LiveJob:
    """What an executor does with the hours of a site that a batch closed."""

    config: str
    layout: Layout
    schema: pa.Schema
    #: Where states are kept.
    states: str
    #: A table of `save_models`; `None` trains on the stream.
    models: str | None
    #: Hours that a site without a model needs before it is trained.
    training_hours: int
    batch: int

    def of_group(self, rows: pa.Table) -> pa.Table:
        """The verdicts that are new."""
        use_task_cores()
        site = rows[SITE][0].as_py()
        state = SiteState(Store(self.states), site)
        header, payload = state.before(self.batch)
        hours = self._later(sorted_rows(rows, self.layout), header.get("now"))
        if hours.num_rows == 0:
            return self.schema.empty_table()
        follows = header.get("kind") == "live"
        model = self._model(state, site, follows)
        if model is None:
            return self._wait(state, site, payload, hours)
        return self._advance(state, site, model, payload if follows else b"", hours)

    def of_partition(self, batches: Any) -> Any:
        """The same for a partition that is sorted by site."""
        from funnelpulse.spark.worker import groups

        for rows in groups(batches):
            yield from self.of_group(rows).to_batches()

    def _later(self, rows: pa.Table, now: int | None) -> pa.Table:
        """The hours after those that were seen: an hour is judged once."""
        if now is None:
            return rows
        return rows.filter(pc.greater(rows[self.layout.time].cast(pa.int64()), now))

    def _model(self, state: SiteState, site: str, follows: bool) -> Any:
        data = saved_model(self.models, site) if self.models else None
        # A model without a state that follows it was left by an attempt of this very batch.
        data = data or (state.model() if follows else None)
        return fitted(data) if data else None

    def _wait(self, state: SiteState, site: str, payload: bytes, hours: pa.Table) -> pa.Table:
        """Keeps the rows; trains on them once there are enough hours. Their verdict is null."""
        import funnelpulse as fp

        history = pa.concat_tables([from_ipc(payload), hours]) if payload else hours
        header: dict[str, Any] = {"kind": "history", "now": newest(hours, self.layout)}
        seen = pc.count_distinct(history[self.layout.time]).as_py()
        data = to_ipc(history)
        if seen >= self.training_hours:
            in_order = [*((key, "ascending") for key in self.layout.keys), (self.layout.time, "ascending")]
            model = fp.Pipeline(fp.Config(self.config)).fit(history.sort_by(in_order))
            state.save_model(model.to_bytes())
            header["kind"], data = "live", model.live().snapshot()
        state.save(self.batch, header, data)
        return self._unjudged(site, hours, "waiting")

    def _unjudged(self, site: str, hours: pa.Table, why: str) -> pa.Table:
        """Rows without a verdict; `models` says why."""
        if self.layout.time != "window_start":
            hours = hours.append_column("window_start", hours[self.layout.time])
        return conform(hours, self.schema, **{SITE: site, "models": why, "revision": 0, "final": True})

    def _advance(self, state: SiteState, site: str, model: Any, payload: bytes, hours: pa.Table) -> pa.Table:
        """Judges hour after hour, so that the verdicts do not depend on how hours fall into batches."""
        live = resumed(model, payload)
        found = []
        for time in pc.unique(hours[self.layout.time]).sort():
            hour = hours.filter(pc.equal(hours[self.layout.time], time))
            try:
                found.append(conform(live.advance(hour).to_arrow(), self.schema, **{SITE: site}))
            # Wrong rows of a site must not stop the stream; an hour that is refused changes no state.
            except FunnelPulseError as error:
                found.append(self._unjudged(site, hour, f"failed: {error}"))
        snapshot = live.snapshot()
        state.save(self.batch, {"kind": "live", "now": newest(hours, self.layout)}, snapshot)
        keep(model, snapshot, live)
        return pa.concat_tables(found)


def newest(hours: pa.Table, layout: Layout) -> int:
    """The newest time, microseconds."""
    return int(pc.max(hours[layout.time].cast(pa.int64())).as_py())


def resumed(model: Any, payload: bytes) -> Any:
    """The live pipeline of a state: the one that this process left there, or one that is restored."""
    kept = _KEPT.pop(hashlib.sha256(payload).digest(), None)
    if kept is not None and kept[0] is model:
        return kept[1]
    try:
        return model.restore(payload) if payload else model.live()
    # The state of another model: the new one starts from the end of its own training.
    except ModelError:
        return model.live()


def keep(model: Any, snapshot: bytes, live: Any) -> None:
    """Remembers the live pipeline of a state, since restoring one costs as much as an hour of a small site."""
    while len(_KEPT) >= _MAX_KEPT:
        del _KEPT[next(iter(_KEPT))]
    _KEPT[hashlib.sha256(snapshot).digest()] = (model, live)


@lru_cache(maxsize=64)
def fitted(data: bytes) -> Any:
    """A model from its bytes. Kept, since each batch needs it again."""
    import funnelpulse as fp

    return fp.FittedPipeline.from_bytes(data)
