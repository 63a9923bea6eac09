"""The inputs of every case, one module per topic, each with a note on the bug it catches."""
