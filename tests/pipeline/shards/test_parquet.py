from __future__ import annotations

import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.shards.parquet import ParquetFormat, table_to_parquet
from schemas.errors import UserError


def test_metadata_are_those_that_the_hub_reads(images, make_table):
    schema = pq.read_table(io.BytesIO(ParquetFormat().write(make_table(images, 2), images))).schema
    assert schema.field("image") == pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    features = schema.metadata[b"huggingface"]
    assert b'"image": {"_type": "Image"}' in features and b'"names": ["a", "b", "c"]' in features
    assert b'{"_type": "Sequence", "feature": {"_type": "Value", "dtype": "float16"}, "length": 3}' in features


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.set_column(2, "label", t["label"].cast(pa.string())), "column 'label' is string.* promises int64"),
        (lambda t: t.drop_columns(["label"]), r"there is 'teacher_logits' where .* promises column 'label' \(int64\)"),
        (lambda t: t.drop_columns(["gap_after", "steps"]), r"the columns end where .* column 'gap_after' \(float\)"),
        (lambda t: t.append_column("more", t["label"]), "column 'more' is none that the manifest promises"),
        (
            lambda t: t.cast(t.schema.set(0, pa.field("key", pa.string()))),
            "'key' is string, .* promises string not null",
        ),
    ],
)
def test_the_first_column_that_differs_is_named(images, make_table, change, message):
    data = table_to_parquet(change(make_table(images, 2)))
    with pytest.raises(UserError, match=message):
        ParquetFormat().read(data, images)


def test_reading_does_not_abort_the_interpreter_at_its_end(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_bytes(table_to_parquet(pa.table({f"c{i}": list(range(20_000)) for i in range(8)})))
    code = (
        "import sys, torch, pyarrow as pa\nfrom pathlib import Path\n"
        "from pipeline.shards.limits import Extent\nfrom pipeline.shards.parquet import read_parquet\n"
        "schema = pa.schema({f'c{i}': pa.int64() for i in range(8)})\n"
        "for _ in range(3): read_parquet(Path(sys.argv[1]).read_bytes(), schema, Extent(64, 1))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0
