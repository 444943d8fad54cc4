from luigi_ilsvrc.formats.details import RecordDetails, serialize_records


def test_the_details_of_a_shard_are_a_csv_with_a_header_in_the_order_of_the_records() -> None:
    records = [
        RecordDetails("b.JPEG", 6, 8, 0, 900, 632, ""),
        RecordDetails("a.JPEG", 7, 9, 900, 950, 700, "reencoded"),
    ]
    assert serialize_records(records) == (
        "image,height,width,offset,length,size,odd\nb.JPEG,6,8,0,900,632,\na.JPEG,7,9,900,950,700,reencoded\n"
    )


def test_the_details_of_a_shard_without_records_are_the_header() -> None:
    assert serialize_records([]) == "image,height,width,offset,length,size,odd\n"
