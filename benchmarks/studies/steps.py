"""How long to train: each method with 1,500 to 6,000 optimiser steps, from 500 images.

    python benchmarks/studies/steps.py --data ../shared/data/fashion_mnist

`declared.py` says what is varied, `--search` chooses the settings of the methods first, on a validation split.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from studies.declared import STEPS as STUDY
from studies.running import command

main = command(STUDY, __doc__ or "")

if __name__ == "__main__":
    main()
