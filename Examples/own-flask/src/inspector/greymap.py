"""Reads a portable greymap, the plain text kind (https://netpbm.sourceforge.net/doc/pgm.html)."""

LIMIT = 1 << 16


class GreymapError(ValueError):
    """The upload is not an image that can be read here."""


def parse(data: bytes, side: int, white: int) -> list[float]:
    """The pixels, row by row, scaled so that white is `white`; raises `GreymapError`."""
    if len(data) > LIMIT:
        raise GreymapError(f"image is larger than {LIMIT} bytes")
    try:
        lines = data.decode("ascii").splitlines()
        magic, *numbers = " ".join(line.split("#", 1)[0] for line in lines).split()
        width, height, brightest, *pixels = map(int, numbers)
    except (UnicodeDecodeError, ValueError) as error:
        raise GreymapError("not a plain greymap (P2)") from error
    if magic != "P2" or brightest < 1:
        raise GreymapError("not a plain greymap (P2)")
    if (width, height) != (side, side) or len(pixels) != side * side:
        raise GreymapError(f"expected {side} by {side} pixels")
    return [white * pixel / brightest for pixel in pixels]
