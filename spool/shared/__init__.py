"""What both backends do alike, over the few calls of `backend.Store`; a backend hands in its SQL."""
