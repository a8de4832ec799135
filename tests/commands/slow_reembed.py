"""`kembar reembed DATA_DIR BUNDLE` with small commits and slow encoders, for a test that ends it on the way."""

import sys
import time

from service.bundle.encoder import TitleEncoder
from service.commands import reembed
from service.commands.main import main

encode = TitleEncoder.encode


def slow(encoder, titles):
    time.sleep(0.2)
    return encode(encoder, titles)


if __name__ == "__main__":
    TitleEncoder.encode = slow
    reembed.COMMIT = 8
    main(["reembed", "--data-dir", sys.argv[1], "--bundle", sys.argv[2]])
