"""Scores of arrays and of trained models from Python, without a suite.

Above score and report, whose metrics, curves and style it shows; below the command line. Arrays are
scored without torch; ``models`` and ``data`` are of torch and loaded for models alone.
"""
