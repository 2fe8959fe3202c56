"""Looks into networks."""

from cnnlab.analysis.summary import Layer, summarize, summary_table, total_macs

__all__ = ["Layer", "summarize", "summary_table", "total_macs"]
