"""Records of runs and plans: frozen data, each with one strict reader, which raises Damaged."""

# Unknown fields are ignored, because a later version of one schema may add some. Names are checked
# too: others may have written the file, and files are read and scores kept under its names.

from __future__ import annotations

import dataclasses
import functools
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union, get_args, get_origin, get_type_hints

from bench_uq.api.errors import UsageError
from bench_uq.api.names import level_key, parse, quoted
from bench_uq.store.about import About
from bench_uq.store.files import SCHEMA, Damaged, StoredFile

#: Names of folders of runs, and of files in them. They cannot lead outside.
RUN = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
FILE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,199}\.(csv|npz|safetensors)")

STATUSES = ("ok", "failed", "diverged", "oom", "interrupted")

#: Files beside a record. The points are training examples of one feature and a real target.
NETWORK = "network.safetensors"
TRAINING = "training.csv"
POINTS = "points.csv"

#: Kind and name of the evaluation on the held-out examples, which scores may be calibrated on.
HELD_OUT = "held-out"
#: The same of the members of an ensemble, one by one, on clean and on held-out examples.
MEMBERS = "members"


#: How the words begin that say how a run was tuned, where seeds of one method may differ in options
#: and recipe.
FOR_EACH_SEED = "tuned for each seed"

#: Kind of the record of a run whose predictions were published with its suite.
PUBLISHED = "published"


@dataclass(frozen=True)
class Source:
    """A user's file of predictions that a run was imported from."""

    name: str
    sha256: str
    draws: int
    examples: int


@dataclass(frozen=True)
class Record:
    """Contents of run.json: the identity of a run, how it ended, and the files beside it.

    ``status`` is empty before anything is recorded.
    """

    run: str
    schema: int = SCHEMA
    key: str = ""  # hash of the identity
    status: str = ""
    reason: str | None = None
    traceback: str | None = None
    method: str = ""
    method_full: str = ""
    dataset: str = ""
    dataset_full: str = ""
    seed: int | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, StoredFile] = field(default_factory=dict)

    environment: Mapping[str, Any] | None = None
    git: str | None = None
    together: list[int] | None = None  # seeds that were trained as one batch
    train_seconds: float | None = None  # own
    base_seconds: float | None = None  # those of the base, if the method has one
    base: str | None = None  # hash of the base's networks
    converged: bool | None = None  # of older versions, by the slope of the loss: no longer read
    diagnosis: str | None = None  # of the method: why the training did not converge; empty: it did
    #: Numbers that the method measured of its trained networks, by name, one for each network.
    measured: Mapping[str, list[float]] = field(default_factory=dict)
    parameters: int | None = None
    peak_memory: float | None = None  # bytes
    predict_seconds: Mapping[str, float] = field(default_factory=dict)  # by file

    #: Hash of the attacked network, by file of predictions under a transfer attack.
    surrogates: Mapping[str, str | None] = field(default_factory=dict)

    #: "imported" for predictions of others, "published" for those that came with a suite.
    kind: str | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)  # by file

    @classmethod
    def from_json(cls, value: Any, run: str) -> Record:
        """Read the record of a run."""
        record: Record = read(cls, {"run": run, **fields_of(value)})

        require(record.run == run, f"it is the record of {quoted(record.run)}")
        known = ", ".join(STATUSES)
        found = quoted(record.status)
        require(record.status in ("", *STATUSES), f"status {found} is not one of {known}")
        for name in record.files:
            check_file(name)
        return record

    def to_json(self) -> dict[str, Any]:
        """The record as plain data; fields without a value are left out."""
        plain = dataclasses.asdict(self)
        kept = ("reason", "traceback")
        return {name: value for name, value in plain.items() if value is not None or name in kept}

    def has(self, *names: str) -> bool:
        """Whether the record names all of these files."""
        return set(names) <= self.files.keys()


@dataclass(frozen=True)
class Evaluation:
    """A run's condition at a level, and the file of its predictions.

    ``kind`` is "clean", "condition" (an attack or shift), "unseen" (out-of-distribution data),
    "shifted" (labelled data in files of their own), or one without scores of its own: "held-out"
    (examples held out of the training) or "members" (each network of an ensemble alone).
    ``surrogate`` is the run whose networks are attacked, if it is another one.
    """

    condition: str  # canonical name
    kind: str
    level: float | None
    file: str
    full: str = ""  # with every option
    count: int = 0  # examples; 0 for all
    key: str = ""  # hash of all that determines the predictions, except the network
    surrogate: PlannedRun | None = None

    @property
    def place(self) -> tuple[str, float | None]:
        """Condition and level, by which evaluations are matched."""
        return self.condition, None if self.level is None else level_key(self.level)

    def in_plan(self) -> dict[str, Any]:
        """The fields that plan.json keeps."""
        names = ("condition", "kind", "level", "file")
        return {name: getattr(self, name) for name in names}


def place_of(method: str, dataset: str, seed: int) -> str:
    """Key of a run in plan.json: one run per method, dataset and seed."""
    return f"{method}|{dataset}|{seed}"


@dataclass(frozen=True)
class PlannedRun:
    """One method, dataset and seed: trained once, then evaluated under every condition.

    A run that is read from plan.json has only the fields that ``in_plan`` writes.
    """

    name: str  # of its folder
    method: str
    dataset: str
    seed: int
    shown: tuple[Evaluation, ...]
    method_full: str = ""
    dataset_full: str = ""
    network: str = ""  # name or file
    settings: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""  # hash of the identity
    command: str | None = None  # reproduces the run

    #: Settings of the suite that it sets otherwise for this method; None if nobody wrote them down.
    shared: Mapping[str, Any] | None = None
    base: PlannedRun | None = None  # whose networks it starts from
    reference: str = ""  # name of the run whose predictions its own are compared with
    #: Why they are not, though the suite has a reference; empty if they are.
    other_model: str = ""
    to_compare: bool = False  # a reference that the suite, or --methods, does not ask for by name
    tuned: str = ""  # how its options and recipe were chosen; empty: the suite's defaults
    trained_on: int = 0  # examples; 0 if unknown
    held_out: int = 0
    #: Hashes of the content of the dataset, under "", and of other data, by condition.
    data: Mapping[str, str] = field(default_factory=dict)
    #: Hashes of plugins and versions of the engine, by kind and name.
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def conditions(self) -> tuple[Evaluation, ...]:
        """Evaluations with scores of their own."""
        return tuple(one for one in self.shown if one.kind not in (HELD_OUT, MEMBERS))

    @property
    def on_held_out(self) -> Evaluation | None:
        """The evaluation on held-out examples; runs of older versions have none."""
        return next((one for one in self.shown if one.kind == HELD_OUT), None)

    @property
    def of_members(self) -> Evaluation | None:
        """The evaluation of each member alone; only runs of several networks have one."""
        return next((one for one in self.shown if one.kind == MEMBERS), None)

    @property
    def place(self) -> str:
        """Key of the run in plan.json: one run per method, dataset and seed."""
        return place_of(self.method, self.dataset, self.seed)

    @classmethod
    def from_json(cls, value: Any) -> PlannedRun:
        """Read a planned run, from plan.json or from another process."""
        fields = fields_of(value)
        if "run" in fields:  # as plan.json calls it
            fields = {**fields, "name": fields["run"]}
        planned: PlannedRun = read(cls, fields)

        for name in (planned.name, planned.reference or planned.name):
            require(RUN.fullmatch(name), f"{quoted(name)} is not the name of a run")
        names = [planned.method, planned.dataset]
        for one in planned.shown:
            check_file(one.file)
            names.append(one.condition)
        for name in names:
            require(is_name(name), f"{quoted(name)} is not a name with options")
        return planned

    def to_json(self) -> dict[str, Any]:
        """All fields as plain data."""
        return dataclasses.asdict(self)

    def in_plan(self) -> dict[str, Any]:
        """The fields that plan.json keeps."""
        # All fields of 10,000 runs would fill it.
        plain: dict[str, Any] = {
            "run": self.name,
            "method": self.method,
            "dataset": self.dataset,
            "seed": self.seed,
            "shown": [evaluation.in_plan() for evaluation in self.shown],
        }

        kept = ("command", "shared", "tuned", "trained_on", "held_out", "data", "code")
        for name in (*kept, "reference", "other_model"):
            value = getattr(self, name)
            # No setting of its own is a fact, unlike no content or no code.
            if value or (name in ("command", "shared") and value is not None):
                plain[name] = value
        return plain


@dataclass(frozen=True)
class Plan:
    """Contents of plan.json: the latest planned run of each method, dataset and seed."""

    runs: Mapping[str, PlannedRun] = field(default_factory=dict)  # by place
    description: str | None = None
    schema: int = SCHEMA
    about: About = field(default_factory=About)
    files: Mapping[str, str] = field(default_factory=dict)  # of the user's plugins, by name

    @classmethod
    def from_json(cls, value: Any) -> Plan:
        """Read a plan."""
        fields = fields_of(value)
        require(isinstance(fields.get("runs"), dict), "it has no runs")
        runs = {}
        # Surrogates are runs, which may have surrogates.
        try:
            for place, one in fields["runs"].items():
                runs[place] = PlannedRun.from_json(one)
                require(runs[place].place == place, f"{quoted(place)} is another run")
        except RecursionError as error:
            raise Damaged("its surrogates are nested too deep") from error
        return read(cls, {**fields, "runs": runs})

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        runs = {place: planned.in_plan() for place, planned in self.runs.items()}
        plain: dict[str, Any] = {"schema": self.schema, "runs": runs}
        if self.description is not None:
            plain["description"] = self.description
        if self.about != About():
            plain["about"] = dataclasses.asdict(self.about)
        if self.files:
            plain["files"] = self.files
        return plain


def require(fine: object, reason: str) -> None:
    """Raise Damaged unless all is fine."""
    if not fine:
        raise Damaged(reason)


def check_file(name: str) -> None:
    """Require a name of a stored file, which cannot lead outside its folder."""
    require(FILE.fullmatch(name), f"{quoted(name)} is not the name of a stored file")


@functools.cache
def is_name(text: str) -> bool:
    """Whether a text is a name with options, in one line."""
    # Cached, because the runs of a suite share a few names.
    try:
        parse(text)
    except UsageError:
        return False
    return text.isprintable()


def fields_of(value: Any) -> Mapping[str, Any]:
    """Require a JSON object."""
    require(isinstance(value, dict), "it is not an object")
    return value


def read(cls: Any, fields: Mapping[str, Any]) -> Any:
    """Build a dataclass from plain data, each value of the annotated type."""
    hints = hints_of(cls)
    values = {}

    for one in dataclasses.fields(cls):
        if one.name in fields:
            values[one.name] = typed(hints[one.name], fields[one.name], one.name)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise Damaged(f"it has no {one.name}")

    return cls(**values)


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """Types of the fields."""
    # Annotations are texts until they are resolved; ten thousand runs are read with these.
    return get_type_hints(cls)


def typed(hint: Any, value: Any, name: str) -> Any:
    """Value as an annotated type; raise Damaged for a value of another type."""
    origin, arguments = get_origin(hint), get_args(hint)

    if hint is Any:
        return value
    # The origin of X | None is UnionType before Python 3.14, and Union since.
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return typed(arguments[0], value, name)
    if dataclasses.is_dataclass(hint):
        cls: Any = hint
        return value if isinstance(value, cls) else read(cls, fields_of(value))
    if origin is Mapping and isinstance(value, Mapping):
        return {key: typed(arguments[1], one, name) for key, one in value.items()}
    if origin in (tuple, list) and isinstance(value, list | tuple):
        return origin(typed(arguments[0], one, name) for one in value)

    # A whole number is a float, but True is neither.
    allowed = (int, float) if hint is float else hint
    if origin is None and isinstance(value, allowed) and isinstance(value, bool) == (hint is bool):
        return value
    raise Damaged(f"{name} is {quoted(value)}, of another type")
