"""Suite file and flags to runs: plugins, options, data fingerprints and the key of each run."""
