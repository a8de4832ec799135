"""report.html: how well a bundle does on a catalogue, and where it is wrong."""
