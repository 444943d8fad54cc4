"""Reading a finished build: its shards as a ``tf.data`` pipeline, its class folders as a list of files and labels.

Labels begin at **0** in both, as classifiers of 1000 classes and torchvision have them; in the records they begin at 1.
tensorflow is imported when `tf_dataset` is called; `image_folder` needs no library.
"""

from luigi_ilsvrc.datasets.arguments import DatasetError
from luigi_ilsvrc.datasets.folders import ImageFolder, image_folder
from luigi_ilsvrc.datasets.pipeline import tf_dataset

__all__ = ["DatasetError", "ImageFolder", "image_folder", "tf_dataset"]
