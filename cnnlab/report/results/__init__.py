"""Tables of finished runs: one row per experiment, with its spread over seeds."""

from cnnlab.report.results.markdown import markdown_tables
from cnnlab.report.results.rows import ResultRow, merge_rows, read_rows, result_rows, write_rows

__all__ = ["ResultRow", "markdown_tables", "merge_rows", "read_rows", "result_rows", "write_rows"]
