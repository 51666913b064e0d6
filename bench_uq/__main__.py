"""python -m bench_uq."""

from bench_uq.cli import main

main()
