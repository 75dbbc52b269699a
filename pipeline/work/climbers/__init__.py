"""What a climb starts from and ends in, by kind of data. `schemas.registry.CLIMBERS` lists them."""
