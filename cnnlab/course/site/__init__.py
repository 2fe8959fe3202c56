"""The course as a static site that opens without a network or a server."""

from cnnlab.course.site.builder import build_site

__all__ = ["build_site"]
