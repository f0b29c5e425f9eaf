"""What a run is asked to do: the run config of every job of ours, the same from every door."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from step_ops.gate import Mode


@dataclass(frozen=True, kw_only=True)
class CassetteRef:
    """Where a test's exchanges are: a fixture file, one scenario of it, and its baseline pictures."""

    file: str
    scenario: str
    baselines: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReplayRef:
    """Which execution is done again, by its id. `live` asks the world where that only reads; with
    `allow_writes`, everywhere.
    """

    execution: str
    live: bool = False
    allow_writes: bool = False


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Inputs, attested assumptions that are denied, and where answers come from. Holds no secret."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    deny: tuple[str, ...] = ()
    mode: Mode = Mode.LIVE
    cassette: CassetteRef | None = None
    replay: ReplayRef | None = None

    @property
    def asks_the_world(self) -> bool:
        """Whether any answer comes from the real world, in real time."""
        return self.mode is Mode.LIVE or (self.replay is not None and self.replay.live)

    def run_config(self) -> dict[str, Any]:
        """The request as Dagster stores it."""
        config: dict[str, Any] = {"inputs": dict(self.inputs)}
        if self.deny:
            config["deny"] = list(self.deny)
        if self.mode is not Mode.LIVE:
            config["mode"] = self.mode.value
        if self.cassette is not None:
            config["cassette"] = {
                "file": self.cassette.file,
                "scenario": self.cassette.scenario,
                "baselines": dict(self.cassette.baselines),
            }
        if self.replay is not None:
            config["replay"] = asdict(self.replay)
        return config

    @staticmethod
    def from_run_config(config: Mapping[str, Any]) -> "RunRequest":
        """The request that a stored run config states; Dagster has checked its shape."""
        cassette, replay = config.get("cassette"), config.get("replay")
        return RunRequest(
            inputs=config.get("inputs") or {},
            deny=tuple(config.get("deny") or ()),
            mode=Mode(config.get("mode") or Mode.LIVE),
            cassette=CassetteRef(**cassette) if cassette else None,
            replay=ReplayRef(**replay) if replay else None,
        )
