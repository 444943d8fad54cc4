import pytest

from luigi_ilsvrc.formats.details import RecordDetails, parse_records, serialize_records


def test_the_details_of_a_shard_are_a_csv_with_a_header_in_the_order_of_the_records() -> None:
    records = [
        RecordDetails("b.JPEG", 6, 8, 0, 900, 632, 632, ""),
        RecordDetails("a.JPEG", 7, 9, 900, 950, 700, 748, "reencoded"),
    ]
    assert parse_records(serialize_records(records)) == records
    assert serialize_records(records) == (
        "image,height,width,offset,length,size,encoded,odd\nb.JPEG,6,8,0,900,632,632,\na.JPEG,7,9,900,950,700,748,reencoded\n"
    )


def test_the_details_of_a_shard_without_records_are_the_header() -> None:
    assert serialize_records([]) == "image,height,width,offset,length,size,encoded,odd\n"
    assert parse_records(serialize_records([])) == []


def test_details_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="another version"):
        parse_records("image,height,width,offset,length,size,odd\n")
