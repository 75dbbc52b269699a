"""The life of an artifact: begun, locked, made unit by unit, resumed, finished with a manifest, compared."""
