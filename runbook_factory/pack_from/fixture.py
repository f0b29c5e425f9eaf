"""The fixture of a recorded execution: what the world answered, to be told again in a test."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from runbook_defs.execution import ExecutionRecord, StepRecord
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.pack_from.fake_secrets import FakeSecrets
from runbook_factory.pack_from.items import Episode, episodes
from runbook_factory.pack_from.refusal import NotPackable
from runbook_factory.pack_from.side_files import SideFiles, as_json
from runbook_factory.pack_from.volatile import Volatile
from runbook_factory.replay.contents import request_of
from runbook_factory.replay.recording import Recording
from step_ops.errors import ErrorType
from step_ops.exchanges import PageResource
from step_ops.gate import TOOK_TOO_LONG
from step_ops.replayed import Stored, read_body, read_capture, read_rows

FOLDER = "fixtures"
MOST_EXPECTED = 256 * 1024  # characters of a body that a fixture expects a step to send
_ENDINGS = {"text/csv": ".csv", "text/html": ".html", "text/plain": ".txt", "application/x-ndjson": ".ndjson"}
_EXPECTED = ("method", "url", "sql", "params", "body")


@dataclass(frozen=True, kw_only=True)
class FixtureMaker:
    """Makes the fixture, and fills `files` with what stands beside it."""

    recording: Recording
    runbook: LoadedRunbook
    volatile: Volatile
    secrets: FakeSecrets
    files: SideFiles

    def fixture(self, scenario: str) -> dict[str, Any]:
        """The fixture as JSON; raises `NotPackable` for what no fixture can tell."""
        record = self.recording.record
        steps = {
            key: entries
            for name, attempts in self.recording.steps.items()
            for key, entries in self._exchanges(name, attempts)
        }
        told = self.secrets.put_into({"inputs": record.inputs, "steps": steps})
        self.secrets.use(self.recording.secrets.keys() & self.runbook.checked.uses.secrets.keys())
        return {
            "format": 1,
            "scenario": scenario,
            "runbook": record.runbook_id,
            "inputs": told["inputs"],
            "secrets": dict(self.secrets.used),
            "clock": record.started_at.astimezone(UTC).isoformat(),
            "assumptions": self._assumptions(record),
            "steps": told["steps"],
        }

    def _assumptions(self, record: ExecutionRecord) -> dict[str, bool]:
        stated = {item.id: item.met for item in record.assumptions if item.how in {"attested", "fixture"}}
        for item in self.runbook.runbook.assumptions:
            if item.id in stated and (item.check is not None or item.probe is not None):
                message = (
                    f"assumption {item.id!r} was denied, and a test cannot deny what is checked or asked"
                )
                raise NotPackable(message)
        return stated

    def _exchanges(
        self, name: str, attempts: Sequence[StepRecord]
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The entries of a step, or of each item of it, under their keys."""
        known = self.runbook.steps.get(name)  # not there for a probe
        limit = known[1].timeout_seconds if known else None
        for item, told in episodes(attempts).items():
            key = name if item is None else f"{name}[{item}]"
            entries = [entry for episode in told for entry in self._entries(key, episode, limit)]
            if entries:
                yield key, entries

    def _entries(self, key: str, episode: Episode, limit: float | None) -> list[dict[str, Any]]:
        """The entries of an episode; `limit` is the timeout of its step."""
        entries = [self._entry(key, said, episode.attempt) for said in episode.exchanges]
        failure = episode.attempt.failure or {}
        if limit and TOOK_TOO_LONG in failure.get("message", "") and failure.get("item") == episode.item:
            # Live, its own work took time too, which a virtual clock does not know of.
            seconds = [entry.get("takes_seconds", 0.0) for entry in entries]
            lasted = max(seconds[-1], limit + 0.001 - sum(seconds[:-1]))
            entries[-1] = {**entries[-1], "takes_seconds": round(lasted, 6)}
        return entries

    def _entry(self, key: str, said: Stored, attempt: StepRecord) -> dict[str, Any]:
        takes, expected = said.get("takes_seconds"), self._expected(said, attempt)
        return {
            **({"takes_seconds": takes} if takes else {}),
            **self._answer(key, said),
            **({"expect": expected} if expected else {}),
        }

    def _answer(self, key: str, said: Stored) -> dict[str, Any]:
        request, bodies = said["request"], self.recording.bodies.__getitem__
        if "selector" in request:
            return {"page": self._page(key, said)}
        if "error" in said:
            return {"error": said["error"]}
        if "status" in said:
            headers = {"headers": dict(said["headers"])} if said.get("headers") else {}
            return {"status": said["status"], **headers, **self._body(key, said)}
        if "sql" in request and said.keys() & {"rows", "count", "body_digest"}:
            count = {"count": said["count"]} if "count" in said else {}
            return {"rows": read_rows(said, bodies), **count}
        return {"error": f"{ErrorType.INTERNAL}: the recorded exchange ended in a fault of the program"}

    def _body(self, key: str, said: Stored) -> dict[str, Any]:
        """The body in the entry where it is small, else the name of its file."""
        if "body_digest" not in said:
            return {name: said[name] for name in ("json", "text") if name in said}
        data: bytes = self.secrets.put_into(read_body(said, self.recording.bodies.__getitem__))
        try:
            data, kind, ending = as_json(_structure(data)), "json_file", ".json"
        except (ValueError, RecursionError):
            kind, ending = "body_file", _ending(said)
        return {kind: self._beside(self.files.keep(key, data, ending=ending))}

    def _page(self, key: str, said: Stored) -> str:
        place = f"step {key!r}"
        if "error" in said:
            message = f"{place} got no picture of its page, and no fixture can tell of that: {said['error']}"
            raise NotPackable(message)
        capture = read_capture(said, self.recording.bodies.__getitem__)
        if capture is None:
            message = f"{place} photographed a page, and the record holds the picture only, not the page"
            raise NotPackable(message, hint="run the runbook again, and take that execution")
        if capture.missing:
            raise NotPackable(f"the page of {place} cannot be drawn again: {capture.missing}")
        from step_ops.har import to_har  # only what photographs pays for it

        clean = tuple(_without_secrets(item, self.secrets) for item in capture.resources)
        har = to_har(replace(capture, resources=clean))
        return self._beside(self.files.keep(key, har.encode("utf-8", "replace"), ending=".har"))

    def _beside(self, path: str) -> str:
        """The path as the fixture has it, which lies in the folder that `files` is below."""
        return path.removeprefix(f"{FOLDER}/")

    def _expected(self, said: Stored, attempt: StepRecord) -> dict[str, Any]:
        """What the step must send again: each part of the request in which nothing is volatile."""
        if "selector" in said["request"]:
            return {}
        sent = request_of(said, self.recording.bodies)
        # What was sent as bytes, not as JSON, says of what kind it is; no fixture can expect it.
        kinds = {name.lower() for name in sent.get("headers", {})}
        body = sent.pop("body", None)
        if isinstance(body, dict | list) and "content-type" not in kinds and _is_short(body):
            sent["body"] = body
        return {
            part: sent[part]
            for part in _EXPECTED
            if part in sent and not self.volatile.sent(sent[part], attempt)
        }


def _without_secrets(resource: PageResource, secrets: FakeSecrets) -> PageResource:
    return PageResource(**{name: secrets.put_into(value) for name, value in vars(resource).items()})


def _structure(data: bytes) -> Any:
    """The object or list that `data` is as JSON; raises `ValueError` when it is anything else."""
    value = json.loads(data)
    if not isinstance(value, dict | list):
        raise ValueError("neither an object nor a list")
    return value


def _ending(said: Stored) -> str:
    kind: str = said.get("headers", {}).get("content-type", "")
    return _ENDINGS.get(kind.partition(";")[0].strip().lower(), ".bin")


def _is_short(body: Mapping[str, Any] | Sequence[Any]) -> bool:
    return len(json.dumps(body)) <= MOST_EXPECTED
