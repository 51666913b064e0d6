"""What a trained network is shown beside clean data: attacks and shifts, one file each. Unseen data are datasets."""
