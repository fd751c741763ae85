"""Workloads of pictures that are drawn when they are asked for, with the answers that follow from what was drawn.

The same seed gives the same pictures on every machine, and the same bytes: shapes are filled by whole-number arithmetic
and the files are compressed here. What could change the pixels is another Pillow: its font (Aileron, which it brings
along), the FreeType that renders it, or how it draws ellipses.
"""

from bench.pictures.drawing import DRAWN as DRAWN
from bench.pictures.drawing import ITEMS as ITEMS
from bench.pictures.drawing import DrawnWorkload as DrawnWorkload
from bench.pictures.drawing import draw as draw
from bench.pictures.picture import Picture as Picture
