"""
What can stop a training run.

    TrainingError
    ├── UnusableCatalogue     too little or unreadable data
    ├── UnusableBackbone      weights that do not fit, or cannot be had here
    ├── SeenPosting           a test posting that was learned from
    └── ParityError           an exported graph does not give what torch gives
"""


class TrainingError(Exception):
    """The run cannot go on; the message says what was expected, what was found and what to do."""


class UnusableCatalogue(TrainingError):
    """The catalogue cannot be read or has too few groups."""


class UnusableBackbone(TrainingError):
    """The backbone's weights are missing or do not fit."""


class SeenPosting(TrainingError):
    """Figures would be measured on what was learned from."""


class ParityError(TrainingError):
    """An exported graph and its torch original disagree."""
