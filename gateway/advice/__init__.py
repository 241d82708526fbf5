"""Advice: what customs is likely to object to in a valid declaration, said before customs says it."""
