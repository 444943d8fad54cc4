"""The task graph: parameters, requirements, outputs; each run is one call into a room of `luigi_ilsvrc`."""
