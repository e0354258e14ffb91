"""The dead-letter desk: what a service gave up, found, sorted, handled again, corrected or dropped.

    conventions ─► case ─► selection ─► order ─► desk ─► broker

Only ``desk`` does I/O. What was decided lies on the broker beside the letters (see
``choreo.replay``), so that the desk needs no store, and several people may work at it.
"""
