"""Losses between a student's logits and stored teacher logits, and between logits and labels."""
