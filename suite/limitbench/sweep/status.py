"""State of stores, whole, half finished or being filled: from markers, metadata and the driver's heartbeat alone.

Nothing is ever written, so that a run can be watched from any machine that can read its storage.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from limitbench.errors import InputError
from limitbench.sweep.blocks import block_id, score_id
from limitbench.sweep.cell_status import blocks_of
from limitbench.sweep.heartbeat import Heartbeat, Listener, UnitInFlight, Verdict, heartbeat_name, read_heartbeat
from limitbench.sweep.intact import check_arrays
from limitbench.sweep.layout import valid_markers
from limitbench.sweep.markers import DONE, FAILED, Marker, read_some
from limitbench.sweep.paths import Paths
from limitbench.sweep.results import find_stores
from limitbench.sweep.spec import Spec
from limitbench.sweep.storage import Entry, open_storage
from limitbench.sweep.store import read_root

#: Markers that are read one by one; of a larger store they are counted from the listing.
MOST_READ = 20_000
#: Seconds between two looks at a heartbeat that has to change to be believed.
LOOK_SECONDS = 0.5

State = Literal["complete", "running", "waiting", "failed", "stopped", "unknown"]


@dataclass(frozen=True)
class Failure:
    """Blocks that were set aside for the same reason, numbers in it apart.

    Attributes:
        reason: of the first of them.
        blocks: their names, sorted.
        attempts: all their attempts.
    """

    reason: str
    blocks: tuple[str, ...]
    attempts: int


@dataclass(frozen=True)
class HostStatus:
    """What one host has done.

    Attributes:
        host: its name; a node's id where its host is not yet known.
        workers, in_flight: alive there, and units under way there, by the driver's last heartbeat.
        blocks: units that it finished.
        busy_seconds: that these units took.
        networks: that it drew.
        networks_per_second: of one worker while it draws; None before the first block.
        last_block: when its last unit ended, by its own clock; None where that is not known.
    """

    host: str
    workers: int = 0
    in_flight: int = 0
    blocks: int = 0
    busy_seconds: float = 0.0
    networks: int = 0
    networks_per_second: float | None = None
    last_block: datetime | None = None


@dataclass(frozen=True)
class StudyStatus:
    """State of one study's store.

    Attributes:
        study: name.
        cells: cells of the grid.
        blocks_done, blocks_failed, blocks_total: units of work, scores of columns among them.
        samples, samples_total: networks in the store, and those it is meant to hold.
        last_activity: time of the last marker by the storage's clock, None where there is none.
        path: path or URL of the store.
        state: `complete`; `running`; `waiting` (running, and no worker is ready yet); `failed` (the run ended and set
            blocks aside); `stopped` (no driver is there and blocks are missing); `unknown` (a driver said so, and was
            not watched for long enough to tell whether it is alive).
        reason: one line on how the state came about, where that says more than the state.
        driver: the last heartbeat of the store's last driver, None where there is none.
        told_by: what tells whether the driver is alive, empty where that does not matter.
        in_flight: units under way, those at work for longest first; empty unless the run goes on. At most 200:
            `driver.in_flight` counts them all.
        failures: blocks that were set aside, by reason, most frequent first.
        networks_per_second, blocks_per_minute: over the driver's last minutes; None unless the run goes on.
        seconds_left: estimate; None unless the run goes on and some units have ended.
        hosts: by host, from the markers; of a store that is not `exact` from the last driver's own account.
        exact: whether every marker was read and its chunks were found. Stores of more than 20,000 units are counted
            from a listing, so that damage does not show.
    """

    study: str
    cells: int
    blocks_done: int
    blocks_failed: int
    blocks_total: int
    samples: int
    samples_total: int
    last_activity: datetime | None
    path: str
    state: State = "stopped"
    reason: str = ""
    driver: Heartbeat | None = None
    told_by: str = ""
    in_flight: tuple[UnitInFlight, ...] = ()
    failures: tuple[Failure, ...] = ()
    networks_per_second: float | None = None
    blocks_per_minute: float | None = None
    seconds_left: float | None = None
    hosts: tuple[HostStatus, ...] = ()
    exact: bool = True

    @property
    def goes_on(self) -> bool:
        """Whether a driver is at work on it."""
        return self.state in ("running", "waiting")


def status(directory: str | Path) -> list[StudyStatus]:
    """State of every store under `directory`, whole or half finished; reads markers and metadata only.

    Whether a driver on another machine is alive shows in its heartbeat, which is watched until it changes: some seconds
    for one that is alive, a quarter of a minute for one that is not.

    Raises:
        InputError: no store there, or a store with damaged metadata.
        StoreError: the storage is out of reach.
    """
    watcher = Watcher(directory)
    found = watcher.look()
    while any(state.state == "unknown" for state in found):
        time.sleep(LOOK_SECONDS)
        if watcher.listen():
            found = watcher.look()
    return found


class Watcher:
    """Looks at the stores under `directory` again and again; a marker that was read once is not read again.

    Cost of the first look: 0.1 ms a unit on a local disk, one request for each marker of an object store.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = directory
        self._storage = open_storage(directory)
        self._views: dict[str, _View] = {}

    def look(self) -> list[StudyStatus]:
        """State of every store now, in order of name.

        Raises:
            InputError, StoreError: as `status`.
        """
        stores = find_stores(self._storage)
        if not stores:
            raise InputError("directory", str(self._directory), "an existing directory that holds a result store")
        return [self._views.setdefault(paths.study, _View(paths)).look() for paths in stores]

    def listen(self) -> bool:
        """Read the heartbeats alone; True where it is now known of one more driver whether it is alive."""
        with self._storage.guarded():
            return sum(view.listen() for view in self._views.values()) > 0  # all of them are to listen


@dataclass
class _View:
    """What is known of one store from earlier looks."""

    paths: Paths
    listener: Listener = field(default_factory=Listener)
    seen: dict[str, Entry] = field(default_factory=dict)
    content: dict[str, dict[str, Marker]] = field(default_factory=lambda: {DONE: {}, FAILED: {}})
    damaged: dict[str, Entry] | None = None
    unknown: bool = False
    stamp: datetime | None = None

    def listen(self) -> bool:
        if not self.unknown:
            return False
        beat = read_heartbeat(self.paths)
        self.unknown = beat is not None and self.listener.hear(beat, self.stamp).life == "unknown"
        return not self.unknown

    def look(self) -> StudyStatus:
        with self.paths.storage.guarded():
            beat = read_heartbeat(self.paths)  # first: all that its driver finished before is in what is read later
        spec, attributes = read_root(self.paths)
        if self.damaged is None:
            check_arrays(self.paths, spec)
        with self.paths.storage.guarded():
            entries = {entry.name: entry for entry in self.paths.storage.entries(self.paths.run)}
            units = _units(spec)
            exact = len(units) <= MOST_READ
            failed = self._read(FAILED, entries)
            done = self._valid(spec, entries) if exact else {}
            if spec.first:
                units = _units(spec, done if exact else self._scores(spec, entries))
        names = done.keys() if exact else {name for name in _names(entries, DONE) if name in units}
        stamp = entries.get(heartbeat_name(self.paths))
        self.stamp = stamp.modified if stamp else None
        verdict = self.listener.hear(beat, self.stamp) if beat else None
        left = {name: marker for name, marker in failed.items() if name not in names}
        state, reason = _state(len(names), len(left), len(units), bool(attributes.get("finalised")), beat, verdict)
        self.unknown = state == "unknown"
        alive = beat if beat is not None and state in ("running", "waiting") else None
        grid, size = spec.axis_grid(), spec.meaning.block_samples
        markers = (f"{self.paths.run}/{DONE}/", f"{self.paths.run}/{FAILED}/")
        return StudyStatus(
            study=spec.meaning.study,
            cells=len(spec.samples) * len(grid.values[-1]),
            blocks_done=len(names),
            blocks_failed=len(left),
            blocks_total=len(units),
            samples=size * sum(1 for name in names if units.get(name)),
            samples_total=sum(spec.samples.values()) if not spec.first else size * sum(units.values()),
            last_activity=max((e.modified for e in entries.values() if e.name.startswith(markers)), default=None),
            path=self.paths.label,
            state=state,
            reason=reason,
            driver=beat,
            told_by=verdict.told_by if verdict and state != "complete" else "",
            in_flight=alive.units if alive else (),
            failures=_failures(left),
            networks_per_second=alive.networks_per_second if alive else None,
            blocks_per_minute=alive.blocks_per_minute if alive else None,
            seconds_left=alive.seconds_left if alive else None,
            hosts=_hosts(done if exact else None, beat, alive is not None),
            exact=exact,
        )

    def _read(self, state: str, entries: Mapping[str, Entry]) -> dict[str, Marker]:
        """Markers of one state, those of them from the storage that are not as they were at the last look."""
        known, names = self.content[state], _names(entries, state)
        fresh = [name for name, entry in names.items() if self.seen.get(entry.name) != entry]
        for name in (*fresh, *(known.keys() - names.keys())):
            known.pop(name, None)
        known |= read_some(self.paths, state, fresh)
        self.seen |= {entry.name: entry for entry in names.values()}
        return known

    def _scores(self, spec: Spec, entries: Mapping[str, Entry]) -> dict[str, Marker]:
        """Markers of the scores of columns that may be complete with fewer blocks."""
        names = {score_id(column) for _, column in spec.axis_grid().columns() if column.slug in spec.first}
        return read_some(self.paths, DONE, sorted(names & _names(entries, DONE).keys()))

    def _valid(self, spec: Spec, entries: Mapping[str, Entry]) -> dict[str, Marker]:
        """Markers of finished units; chunks are looked for at the first look only, later markers prove theirs."""
        found, names = self._read(DONE, entries), _names(entries, DONE)
        valid = valid_markers(self.paths, spec, spec, found, sized=self.damaged is None)
        if self.damaged is None:
            self.damaged = {name: names[name] for name in found.keys() - valid.keys()}
        return {name: marker for name, marker in valid.items() if self.damaged.get(name) != names[name]}


def _units(spec: Spec, done: Mapping[str, Marker] | None = None) -> dict[str, bool]:
    """Names of all units of a spec, and whether each is a block of samples.

    Markers `done` tell of columns whose verdicts are clear with fewer blocks than they may have.
    """
    units: dict[str, bool] = {}
    for _, column in spec.axis_grid().columns():
        units |= {block_id(column, k): True for k in range(blocks_of(spec, column, done or {}))}
        units[score_id(column)] = False
    return units


def _names(entries: Mapping[str, Entry], state: str) -> dict[str, Entry]:
    """Markers of one state by name of their unit."""
    found = {}
    for place, entry in entries.items():
        folder, _, file = place.rpartition("/")
        if file.endswith(".json") and folder.endswith(f"/{state}"):
            found[file.removesuffix(".json")] = entry
    return found


def _state(
    done: int, failed: int, total: int, finalised: bool, beat: Heartbeat | None, verdict: Verdict | None
) -> tuple[State, str]:
    if done >= total and finalised:
        return "complete", ""
    if beat is None or verdict is None:
        return "stopped", "" if done < total else "before its claims were computed"
    match verdict.life:
        case "alive":
            return ("running", "") if beat.workers or beat.blocks_done else ("waiting", "no worker is ready")
        case "unknown":
            return "unknown", ""
        case "gone":
            return "stopped", "its driver ended without a word: killed, or its machine was lost"
    if beat.state == "finished":
        return ("failed", "") if failed else ("stopped", "its driver ended with units left to do, or damaged")
    words = {"interrupted": "interrupted by Ctrl-C", "crashed": f"a defect: {beat.reason}"}
    return "stopped", words.get(beat.state, beat.reason)


def _failures(failed: Mapping[str, Marker]) -> tuple[Failure, ...]:
    groups: dict[str, list[str]] = {}
    for name in sorted(failed):
        groups.setdefault(re.sub(r"\d+", "#", failed[name]["error"]), []).append(name)
    found = [
        Failure(failed[names[0]]["error"], tuple(names), sum(failed[name]["attempts"] for name in names))
        for names in groups.values()
    ]
    return tuple(sorted(found, key=lambda failure: -len(failure.blocks)))


def _hosts(done: Mapping[str, Marker] | None, beat: Heartbeat | None, alive: bool) -> tuple[HostStatus, ...]:
    found: dict[str, dict[str, float]] = {}
    last: dict[str, datetime] = {}

    def add(host: str, **numbers: float) -> None:
        row = found.setdefault(
            host, dict.fromkeys(("workers", "in_flight", "blocks", "networks", "busy", "drawing"), 0)
        )
        for name, value in numbers.items():
            row[name] += value

    for marker in (done or {}).values():
        seconds, networks = marker["seconds"], marker.get("samples", 0)
        add(marker["host"], blocks=1, networks=networks, busy=seconds, drawing=seconds if networks else 0.0)
        ended = _time(marker.get("finished"))
        if ended is not None:
            last[marker["host"]] = max(ended, last.get(marker["host"], ended))
    for node in beat.nodes if beat else ():
        if alive:
            add(node.host or node.node, workers=node.workers, in_flight=node.in_flight)
        if done is None:
            numbers = {"blocks": node.blocks, "networks": node.networks}
            add(node.host or node.node, busy=node.seconds, drawing=node.seconds, **numbers)
    return tuple(
        HostStatus(
            host=host,
            workers=int(row["workers"]),
            in_flight=int(row["in_flight"]),
            blocks=int(row["blocks"]),
            busy_seconds=row["busy"],
            networks=int(row["networks"]),
            networks_per_second=row["networks"] / row["drawing"] if row["networks"] and row["drawing"] else None,
            last_block=last.get(host),
        )
        for host, row in sorted(found.items())
    )


def _time(text: object) -> datetime | None:
    """A marker's time, None where it is none or of no zone."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
