"""What ILSVRC2012 is: its archives, label tables, images and bounding boxes, and where each output lies."""
