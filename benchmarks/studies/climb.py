"""What rounds, steps, step size and objective of the climbs change, from 500 images.

    python benchmarks/studies/climb.py --data ../shared/data/fashion_mnist

`declared.py` says what is varied, `--search` chooses the settings of the methods first, on a validation split.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from studies.declared import CLIMB as STUDY
from studies.running import command

main = command(STUDY, __doc__ or "")

if __name__ == "__main__":
    main()
