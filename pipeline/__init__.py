"""The work itself: cache, mine, export, train, evaluate. Knows neither Prefect nor click."""
