"""What crosses a process in Labelbus: labels, commands, events and topics. Pydantic only."""
