"""When does it pay? Studies on Fashion-MNIST, with the teacher and the student of few_sample.py.

A study is declared in `declared.py`, methods in `methods.py`; each has a script that runs it:

    python benchmarks/studies/samples.py --data DIR --search    # settings of the methods, on a validation split
    python benchmarks/studies/samples.py --data DIR             # and compression.py, climb.py, compute.py, steps.py
    python benchmarks/studies/robustness.py --data DIR

One after the other: they share a work folder, with the teacher and the runs. They write
benchmarks/results/study_NAME.json, which `make results` puts into docs/results.md.
"""
