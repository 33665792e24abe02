"""What every labeler is built from: the interface, sample reading, and the worker around it."""
