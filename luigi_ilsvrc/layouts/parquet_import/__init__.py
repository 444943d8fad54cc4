"""How images come from parquet files into an archive of the official layout; see `layouts.parquet`."""
