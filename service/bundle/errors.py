"""
What can be wrong with a bundle, a picture or a title.

    BundleError
    ├── DamagedBundle            a file is missing, extra, changed or not understood
    └── GoldenMismatch           the encoders answer otherwise on this machine than where they were exported
    PostingError                 a picture or title that a caller sent
    ├── ImageEmpty, ImageTooLarge, UnsupportedImageFormat, ImageTooManyPixels,
    │   ImageTooSmall, ImageTruncated, ImageMalformed, ImageTooComplex
    └── TitleEmpty, TitleTooLong, TitleInvalidUnicode, TitleControlCharacter
    ModelFault                   an encoder gave NaN or a zero vector

Messages give expected, got and what to do, and never quote the input.
"""


class BundleError(Exception):
    """The bundle cannot be used; the message names file, expected and got."""


class DamagedBundle(BundleError):
    """A file of the bundle is missing, extra, changed or not understood."""


class GoldenMismatch(BundleError):
    """The encoders give other vectors here than where the bundle was made."""


class PostingError(Exception):
    """A picture or a title cannot be used."""


class ImageEmpty(PostingError):
    """No byte was sent."""


class ImageTooLarge(PostingError):
    """More bytes than accepted."""


class UnsupportedImageFormat(PostingError):
    """The content is not one of the accepted formats."""


class ImageTooManyPixels(PostingError):
    """The header promises more pixels than accepted."""


class ImageTooSmall(PostingError):
    """A side is shorter than accepted."""


class ImageTruncated(PostingError):
    """The data end before the picture does."""


class ImageMalformed(PostingError):
    """The data break the rules of their format."""


class ImageTooComplex(PostingError):
    """More scans, segments or chunks than accepted."""


class TitleEmpty(PostingError):
    """Nothing that can be seen is left of the title."""


class TitleTooLong(PostingError):
    """More code points or bytes than accepted."""


class TitleInvalidUnicode(PostingError):
    """The title holds a lone surrogate or is not UTF-8."""


class TitleControlCharacter(PostingError):
    """The title holds a control character other than tab, CR or LF."""


class ModelFault(Exception):
    """An encoder gave a vector that is not finite or has no length."""
