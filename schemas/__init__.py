"""What every part agrees on: configuration, manifests, Arrow schemas, registries, errors."""
