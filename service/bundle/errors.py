"""
What can be wrong with a bundle, a picture or a title.

    BundleError                       the bundle cannot be used; the message names file, expected and got
    ├── DamagedBundle                 a file is missing, extra, changed or not understood
    └── GoldenMismatch                the encoders answer otherwise on this machine than where they were exported
    PostingError                      a picture or title that a caller sent cannot be used
    ├── ImageEmpty                    no byte was sent
    ├── ImageTooLarge                 more bytes than accepted
    ├── UnsupportedImageFormat        the content is not one of the accepted formats
    ├── ImageTooManyPixels            the header promises more pixels than accepted
    ├── ImageTooSmall                 a side is shorter than accepted
    ├── ImageTruncated                the data end before the picture does
    ├── ImageMalformed                the data break the rules of their format
    ├── ImageTooComplex               more scans, segments, chunks or frames than accepted
    ├── TitleEmpty                    nothing that can be seen is left of the title
    ├── TitleTooLong                  more code points than accepted
    ├── TitleInvalidUnicode           the title holds a lone surrogate or is not UTF-8
    └── TitleControlCharacter         the title holds a control character other than tab, CR or LF
    ModelFault                        an encoder gave a vector that is not finite or has no length

Messages give expected, got and what to do, and never quote the input.
"""


class BundleError(Exception): ...


class DamagedBundle(BundleError): ...


class GoldenMismatch(BundleError): ...


class PostingError(Exception): ...


class ImageEmpty(PostingError): ...


class ImageTooLarge(PostingError): ...


class UnsupportedImageFormat(PostingError): ...


class ImageTooManyPixels(PostingError): ...


class ImageTooSmall(PostingError): ...


class ImageTruncated(PostingError): ...


class ImageMalformed(PostingError): ...


class ImageTooComplex(PostingError): ...


class TitleEmpty(PostingError): ...


class TitleTooLong(PostingError): ...


class TitleInvalidUnicode(PostingError): ...


class TitleControlCharacter(PostingError): ...


class ModelFault(Exception): ...
