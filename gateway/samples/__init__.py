"""Sample declarations of every type, from invented data: for the documents, the demo, the simulator, tests."""
