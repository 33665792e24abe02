"""The commands, one module per group. Modules import heavy things only inside their functions."""
