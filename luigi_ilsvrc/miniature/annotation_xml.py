"""Writes an annotation as XML, as the real annotations are written."""

from collections.abc import Iterable

from luigi_ilsvrc.miniature.annotations import Annotation, AnnotationKind
from luigi_ilsvrc.miniature.boxes import Box


def annotation_xml(annotation: Annotation, boxes: Iterable[Box]) -> bytes:
    """Return the content of an XML file."""
    filename = "%s" if annotation.kind is AnnotationKind.NO_FILENAME else annotation.image
    fraction = ".6" if annotation.kind is AnnotationKind.FLOATS else ""
    objects = "".join(_object_xml(box, fraction) for box in boxes)
    return (
        f"<annotation>\n\t<folder>{annotation.synset}</folder>\n\t<filename>{filename}</filename>\n"
        f"\t<source>\n\t\t<database>ImageNet database</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{annotation.width}</width>\n\t\t<height>{annotation.height}</height>\n"
        f"\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n{objects}</annotation>\n"
    ).encode()


def _object_xml(box: Box, fraction: str) -> str:
    return (
        f"\t<object>\n\t\t<name>{box.name}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
        f"\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        f"\t\t\t<xmin>{box.xmin}{fraction}</xmin>\n\t\t\t<ymin>{box.ymin}{fraction}</ymin>\n"
        f"\t\t\t<xmax>{box.xmax}{fraction}</xmax>\n\t\t\t<ymax>{box.ymax}{fraction}</ymax>\n"
        f"\t\t</bndbox>\n\t</object>\n"
    )
