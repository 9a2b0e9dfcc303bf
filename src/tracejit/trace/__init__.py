"""From Python to IR: run a function on tracers, and record what it binds."""
