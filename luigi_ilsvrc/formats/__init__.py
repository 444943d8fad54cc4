"""The plan of the shards, and the formats that a planned image can be written in."""
