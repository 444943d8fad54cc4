"""Annotations as XML."""

SYNSET = "n02105855"
SYNSETS = ["n01440764", SYNSET]


def xml_box(xmin: object, ymin: object, xmax: object, ymax: object, name: str = SYNSET) -> str:
    return (
        f"<object><name>{name}</name><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
        f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
    )


def annotation(*objects: str, width: object = 500, height: object = 400, filename: object = f"{SYNSET}_1") -> bytes:
    return (
        f"<annotation><folder>{SYNSET}</folder><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{''.join(objects)}</annotation>"
    ).encode()
