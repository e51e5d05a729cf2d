"""Tools for data sets: check, convert, split, count, show, download, fit anchors."""
