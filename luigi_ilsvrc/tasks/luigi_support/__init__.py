"""What connects the tasks with Luigi: targets, progress, the log, the end of a worker."""
