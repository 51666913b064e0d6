"""Predictions of trained networks under a condition."""

#: Version of the prediction arithmetic: draws, blocks of noise, attacks' access to the network,
#: mixtures and the arrays stored of them. Raise it by hand whenever a change there makes the same
#: network predict other numbers: stored predictions of the old version are then due again, the
#: networks are not. Last digits, which differ between kinds of processor as well, are no such
#: change. Golden tests (tests/golden) fail where numbers changed and this one did not.
PREDICTION_VERSION = 3
