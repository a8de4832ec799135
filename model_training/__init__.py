"""Offline: postings.csv and pictures become a bundle. Nothing that serves imports this package."""
