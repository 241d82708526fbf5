"""Sample declarations of every type, made of invented data: for the documents, the demo, the simulator, tests."""
