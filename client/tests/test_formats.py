"""The command repeats the gateway's image formats, as it does not import the gateway."""

from PIL import Image
from sports.sources import SUFFIXES

from gateway.images import FORMATS


def test_suffixes_are_those_of_the_formats_that_the_gateway_reads() -> None:
    extensions = Image.registered_extensions()
    assert {extensions[suffix] for suffix in SUFFIXES} == set(FORMATS)
