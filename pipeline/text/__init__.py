"""Text: sentences as they are stored, tokens as models take them, tokenizers, and the map between embeddings."""
