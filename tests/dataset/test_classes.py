from pathlib import Path

from luigi_ilsvrc.dataset.classes import write_classes
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION


def test_each_class_has_a_row_with_both_its_numbers(tmp_path: Path) -> None:
    words = {"n01440764": "tench, Tinca tinca", "n01443537": 'a "goldfish"'}
    counts = {TRAIN: {"n01440764": 1300, "n01443537": 732}, VALIDATION: {"n01440764": 50, "n01443537": 49}}
    write_classes(words, counts, tmp_path / "classes.csv")
    assert (tmp_path / "classes.csv").read_text() == (
        "label,index,synset,words,train_images,validation_images\n"
        '1,0,n01440764,"tench, Tinca tinca",1300,50\n'
        '2,1,n01443537,"a ""goldfish""",732,49\n'
    )
