"""What LRA set for Linsley et al.'s generator in its two sizes: the docstrings of lra_benchmarks/data/pathfinder.py.

What they leave open (lengths of trials, the dash of Path-X) is the generator's default.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Lengths in pixels.

    padding: border that dashes keep free of; margins: gap about a dash, one drawn for each image;
    seed_distance: between the first dashes of the two contours; marker_radius: of the discs at an end of a contour;
    contour_length, distractor_length: dashes of a contour; continuity: the larger, the straighter a contour;
    contour_contrast, distractor_contrast: brightness against the markers' 1; antialias: drawing scale;
    paddle_trials, distractor_trials: how often a dash, and a distractor, is tried again.
    """

    side: int
    paddle_length: int
    thickness: float
    margins: tuple[int, ...]
    seed_distance: int
    marker_radius: float
    n_distractors: int
    continuity: float
    contour_contrast: float
    distractor_contrast: float
    contour_length: int = 14
    distractor_length: int = 14 // 3
    padding: int = 1
    antialias: int = 2
    paddle_trials: int = 2
    distractor_trials: int = 4


SETTINGS = {
    32: Settings(
        side=32,
        paddle_length=2,
        thickness=0.5,
        margins=(1,),
        seed_distance=7,
        marker_radius=1.5,
        n_distractors=20 // (14 // 3),
        continuity=1.0,
        contour_contrast=0.75 * 2,  # paddle contrast times snake contrast
        distractor_contrast=2.0,  # the original applies the snake contrast alone
    ),
    128: Settings(
        side=128,
        paddle_length=5,
        thickness=1.5,
        margins=(2, 3),
        seed_distance=20,
        marker_radius=3.0,
        n_distractors=35 // (14 // 3),
        continuity=1.8,
        contour_contrast=0.9,
        distractor_contrast=0.9,
    ),
}
