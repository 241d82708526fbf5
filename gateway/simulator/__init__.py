"""The customs side, played: real protocols, scripted answers and faults, every choice seeded."""
