"""The two splits of the data set, by the words that stand in file names and on the command line."""

TRAIN = "train"
VALIDATION = "validation"
SPLITS = (TRAIN, VALIDATION)
