"""Suites that ship with bench-uq, one TOML file each."""
