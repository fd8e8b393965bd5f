"""A member's series on disk: Parquet parts, one behind the other, until they are merged at the member's end."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speedlimits._columns import COLUMNS
from speedlimits._files import write_atomically
from speedlimits.errors import RunFolderError
from speedlimits.runs.formats import read_bytes

# Each function imports Arrow by itself: most commands only need to know what a run is.
if TYPE_CHECKING:
    import pyarrow as pa


def to_table(rows: list[dict[str, Any]], first: int) -> "pa.Table":
    """Records as the columns of a part.

    Args:
        rows: the records, each with every column.
        first: number of the first.

    Returns:
        The table, with the records' numbers in its first column.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {"record": pa.array(range(first, first + len(rows)), pa.int64())}
    # Of points a run that we train ourselves has no need: every step is summed.
    # Nor has Parquet lists of length zero, of weights that are not traced.
    for key in [key for key in COLUMNS if key in rows[0] and np.size(rows[0][key])]:
        values = [row[key] for row in rows]
        if key == "weight_trace":
            columns[key] = pa.array(values, pa.list_(pa.float64(), len(values[0])))
        else:
            columns[key] = pa.array(values, pa.int64() if key == "gradient_evaluations" else pa.float64())
    return pa.table(columns)


def first_row(part: Path) -> int:
    """The number of a part's first record, from its name.

    Args:
        part: the file.

    Returns:
        The number.

    Raises:
        RunFolderError: if it has another name.
    """
    try:
        return int(part.stem.removeprefix("part-"))
    except ValueError:
        raise RunFolderError(f"{part} must be named part-<first row>.parquet.") from None


def listed(folder: Path) -> list[Path]:
    """The parts in a folder, in their order."""
    return sorted(folder.glob("part-*.parquet"))


def write(folder: Path, table: "pa.Table", first: int) -> None:
    """Write one part, whole or not at all.

    Args:
        folder: where to; made if it is missing.
        table: from `to_table`.
        first: number of its first record.
    """
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(
        folder / f"part-{first:08d}.parquet",
        lambda out: pq.write_table(table, out, compression="zstd", write_page_checksum=True),
    )


def read(folder: Path) -> "pa.Table":
    """All parts as one table.

    Args:
        folder: where they lie.

    Returns:
        The table.

    Raises:
        RunFolderError: if there is none, or one is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, rows = [], 0
    for part in listed(folder):
        if first_row(part) < rows:
            # Merged into an earlier one, by a process that was killed before it could remove this one.
            continue
        if first_row(part) > rows:
            raise RunFolderError(f"{part} must begin at row {rows}: a part before it is missing.")
        try:
            file = pq.ParquetFile(io.BytesIO(read_bytes(part)), page_checksum_verification=True)
            # Small tables need no threads.
            tables.append(file.read(use_threads=False))
        except pa.ArrowMemoryError:
            # No damage: the command says so.
            raise
        except (pa.ArrowException, OSError) as error:
            raise RunFolderError(f"{part} is damaged ({str(error).splitlines()[0]}).") from None
        rows += tables[-1].num_rows
    if not tables:
        raise RunFolderError(f"{folder} must hold at least one part; it holds none.")
    return pa.concat_tables(tables)


def numbers(values: "pa.Array") -> np.ndarray:
    """A column's numbers, of lists one behind the other, not to be written to.

    Arrow's own way to NumPy imports pandas where it is there, a third of a second, and all that Arrow can compute.

    Args:
        values: of the column; missing numbers become NaN.

    Returns:
        The numbers.
    """
    import pyarrow as pa

    lists = pa.types.is_fixed_size_list(values.type)
    if values.null_count:
        return (values.flatten() if lists else values).to_numpy(zero_copy_only=False)
    if lists:
        width = values.type.list_size
        return numbers(values.values.slice(values.offset * width, len(values) * width))
    return np.from_dlpack(values)


def series(table: "pa.Table") -> dict[str, Any]:
    """A table's columns as the fields of a trajectory.

    Args:
        table: from `read`.

    Returns:
        The arrays, weight triples among them, by the names of the fields.
    """
    found: dict[str, Any] = {
        field: numbers(table.column(key).combine_chunks())
        for key, field in COLUMNS.items()
        if key in table.column_names and key != "weight_trace"
    }
    found["weight_traces"] = np.empty((table.num_rows, 0, 3))
    if "weight_trace" in table.column_names:
        found["weight_traces"] = numbers(table.column("weight_trace").combine_chunks()).reshape(table.num_rows, -1, 3)
    return found


def row_bytes(table: "pa.Table") -> bytes:
    """A table's numbers row by row: the same however its rows are spread over parts.

    Args:
        table: from `to_table`.

    Returns:
        Eight bytes for each number.
    """
    import pyarrow as pa

    columns = []
    for column in table.combine_chunks().columns:
        values = column.combine_chunks()
        width = values.type.list_size if pa.types.is_fixed_size_list(values.type) else 1
        columns.append(np.ascontiguousarray(numbers(values)).view(np.uint64).reshape(table.num_rows, width))
    return np.concatenate(columns, axis=1).tobytes()
