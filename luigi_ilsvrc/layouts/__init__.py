"""Where images and annotations lie: in the official archives or in class folders."""
