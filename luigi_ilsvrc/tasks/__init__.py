"""The task graph: parameters, requirements, outputs; each run is one call into a module of `luigi_ilsvrc`."""
