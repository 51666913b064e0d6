"""Files under results/: whole or not at all, checked by hash, never unpickled.

Other rooms use the names here; which file of this room holds a reader is its own business.
"""

from bench_uq.store.files import (
    CHECKSUM,
    CHECKSUMS,
    PLAN,
    RECORD,
    SCHEMA,
    SEALED,
    CannotWrite,
    discard_partial,
    leave_if_forked,
    loaded,
    parsed,
    read_json,
    refuse_newer,
    say,
    set_aside,
    sha256,
    write_bytes,
    write_json,
)
from bench_uq.store.plans import check_schema, merge_plan, read_plan, suite_lock
from bench_uq.store.records import (
    NETWORK,
    POINTS,
    TRAINING,
    Evaluation,
    Plan,
    PlannedRun,
    Record,
    StoredFile,
)
from bench_uq.store.runs import RunFolder, elsewhere, run_folder

__all__ = [
    "CHECKSUM",
    "CHECKSUMS",
    "NETWORK",
    "PLAN",
    "POINTS",
    "RECORD",
    "SCHEMA",
    "SEALED",
    "TRAINING",
    "CannotWrite",
    "Evaluation",
    "Plan",
    "PlannedRun",
    "Record",
    "RunFolder",
    "StoredFile",
    "check_schema",
    "discard_partial",
    "elsewhere",
    "leave_if_forked",
    "loaded",
    "merge_plan",
    "parsed",
    "read_json",
    "read_plan",
    "refuse_newer",
    "run_folder",
    "say",
    "set_aside",
    "sha256",
    "suite_lock",
    "write_bytes",
    "write_json",
]
