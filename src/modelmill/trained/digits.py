"""Pictures of a digit, brought to the form of MNIST.

A model knows only pictures prepared as those it learned from
(http://yann.lecun.com/exdb/mnist/): "size normalized to fit in a 20x20 pixel box while preserving
their aspect ratio. The resulting images contain grey levels as a result of the anti-aliasing
technique used by the normalization algorithm. The images were centered in a 28x28 image by
computing the center of mass of the pixels, and translating the image so as to position this point
at the center of the 28x28 field."
"""

import math
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from modelmill.errors import ModelmillError

FIELD, BOX = 28, 20
CENTRE = 14  # in MNIST the centre of mass lies in this pixel, counted from 0, of both axes
ENOUGH = 2000**2  # pixels: more show nothing that 28 x 28 could keep
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP")  # Pillow hands others to programs
FAINTEST = 0.1  # of the way from black to white: what stands out less is no digit
INK = (0.25, 0.75)  # of a stroke's strength: up to the first is background, from the second is ink
SPECK = 0.05  # of the largest piece's ink: a smaller piece is dust


def read_digit(path: Path) -> np.ndarray:
    """The digit in an image file, uint8 [28, 28], light strokes on black.

    Raises:
        ModelmillError: the file is missing, damaged, no image, too large, or shows no digit.
    """
    if path.exists() and not path.is_file():  # to open a pipe is to wait for its other end
        raise ModelmillError(f"{path} is not a regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return normalise(_smaller(_grey(ImageOps.exif_transpose(image))))
    except FileNotFoundError:
        raise ModelmillError(f"{path} is missing") from None
    except UnidentifiedImageError:
        raise ModelmillError(f"{path} is not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise ModelmillError(f"{path} is too large: more than {limit} pixels") from None
    except ModelmillError as error:
        raise ModelmillError(f"{path}: {error}") from None
    except Exception as error:  # damaged files make Pillow raise almost anything
        reason = str(error) or type(error).__name__
        raise ModelmillError(f"{path} cannot be read: {reason}") from None


def normalise(grey: np.ndarray) -> np.ndarray:
    """The form of MNIST, uint8 [28, 28], of a picture of one digit.

    1. The background is what the border shows; the strokes are what differs from it most, be it
       darker or lighter.
    2. What differs by less than a quarter as much is background, and specks are dust.
    3. The digit's longer side becomes 20 pixels, anti-aliased, its strongest stroke white.
    4. Its centre of mass moves to the centre, as far as the picture has room.

    Args:
        grey: uint8 or uint16 [height, width].

    Raises:
        ModelmillError: nothing stands out from the background.
    """
    relief = _relief(grey)
    relief *= np.sign(np.sum(relief**3))  # strokes are few and strong: they decide the skew
    if relief.max() < FAINTEST * np.iinfo(grey.dtype).max:
        raise ModelmillError("there is no digit to see")
    strength = np.median(relief[relief > relief.max() / 2])
    low, high = INK
    ink = _without_specks(((relief / strength - low) / (high - low)).clip(0, 1))

    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = np.rint(np.array(ink.shape) * BOX / max(ink.shape)).astype(int).clip(1)
    image = Image.fromarray(ink.astype(np.float32))
    box = np.asarray(image.resize(shape[::-1].tolist(), Image.Resampling.BILINEAR), np.float64)

    centre = np.array(ndimage.center_of_mass(box))
    top, left = np.rint(CENTRE - centre).astype(int).clip(0, FIELD - shape)
    field = np.zeros((FIELD, FIELD), np.uint8)
    # Thin strokes have become faint; the strongest pixel of every MNIST digit is white.
    field[top : top + shape[0], left : left + shape[1]] = np.rint(box / box.max() * 255)
    return field


def _relief(grey: np.ndarray) -> np.ndarray:
    """How far each pixel is from the background, a plane through the border: evenly fading light.

    Least trimmed squares (Rousseeuw, 1984): from the border's median on, the plane is fitted to the
    nearer half of the border, so that a digit cut off by the edge does not tilt it.
    """
    border = np.ones(grey.shape, bool)
    border[1:-1, 1:-1] = False
    rows, columns = np.nonzero(border)
    terms = np.stack([np.ones(len(rows)), rows, columns], axis=1)
    # From here on, the inverted picture has the same numbers with the other sign.
    relief = grey - np.median(grey[border])
    levels, plane = relief[border], np.zeros(3)
    for _ in range(4):
        distance = np.abs(levels - terms @ plane)
        near = distance <= np.median(distance)
        plane, *_ = np.linalg.lstsq(terms[near], levels[near])
    rows, columns = np.ogrid[: grey.shape[0], : grey.shape[1]]
    return relief - (plane[0] + plane[1] * rows + plane[2] * columns)


def _without_specks(ink: np.ndarray) -> np.ndarray:
    pieces, _ = ndimage.label(ink, structure=np.ones((3, 3)))
    amounts = np.bincount(pieces.ravel(), ink.ravel())
    return np.where(amounts[pieces] < SPECK * amounts.max(), 0, ink)


def _smaller(grey: np.ndarray) -> np.ndarray:
    """A picture of far more pixels than are needed, each block of them as its mean."""
    if grey.size <= ENOUGH:
        return grey
    factor = min(math.ceil(math.sqrt(grey.size / ENOUGH)), *grey.shape)
    height, width = (size // factor for size in grey.shape)
    blocks = grey[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return blocks.mean(axis=(1, 3), dtype=np.float32).astype(grey.dtype)


def _grey(image: Image.Image) -> np.ndarray:
    """The lightness of the pixels, uint8 or, of 16-bit images, uint16 [height, width]."""
    if image.mode[0] in "IF":  # more than eight bits, of which scanners use as many as they like
        levels = np.asarray(image, np.float64).clip(0)
        if not np.isfinite(levels).all():
            raise ValueError("a pixel is no finite number")
        return (levels / max(levels.max(), 1e-9) * 0xFFFF).astype(np.uint16)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    drawn = image.convert("RGBA")
    papers = (Image.new("RGBA", image.size, colour) for colour in ("white", "black"))
    greys = [np.asarray(Image.alpha_composite(paper, drawn).convert("L")) for paper in papers]
    return max(greys, key=np.ptp)  # white strokes on nothing are seen on black paper only
