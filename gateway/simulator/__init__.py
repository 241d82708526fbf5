"""The simulated customs side: real protocols, scripted answers and faults, every choice seeded."""
