"""From a Python call to a program: what an argument is, staging it, keeping what was compiled.

Reading order: values (one leaf), arguments (their names in messages), statics (those that belong to
the program), run (a jaxpr on values), programs (a call taken apart, traced, compiled), once (the
cache), native_calls (later calls without Python), report (who listens to what is made).
"""

from __future__ import annotations

from tracejit.passes.roll import roll
from tracejit.trace.stage import Finish

Finish.step = staticmethod(roll)
