"""What LRA set for Linsley et al.'s generator in its two sizes: the docstrings of lra_benchmarks/data/pathfinder.py.

What they leave open (lengths of trials, the dash of Path-X) is the generator's default. LRA's three levels differ in the length of the
contours, from which follow the length of the distractors (a third) and their number (a fixed number of dashes in all).
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Settings:
    """Lengths in pixels.

    padding: border that dashes keep free of; margins: gap about a dash, one drawn for each image;
    seed_distance: between the first dashes of the two contours; marker_radius: of the discs at an end of a contour;
    contour_length: dashes of a contour; distractor_dashes: of all distractors, about; continuity: the larger, the straighter a contour;
    contour_contrast, distractor_contrast: brightness against the markers' 1; antialias: drawing scale;
    paddle_trials, distractor_trials: how often a dash, and a distractor, is tried again.
    """

    side: int
    paddle_length: int
    thickness: float
    margins: tuple[int, ...]
    seed_distance: int
    marker_radius: float
    distractor_dashes: int
    continuity: float
    contour_contrast: float
    distractor_contrast: float
    contour_length: int = 14
    padding: int = 1
    antialias: int = 2
    paddle_trials: int = 2
    distractor_trials: int = 4

    @property
    def distractor_length(self) -> int:
        """Dashes of a distractor."""
        return self.contour_length // 3

    @property
    def n_distractors(self) -> int:
        """Number of distractors."""
        return self.distractor_dashes // self.distractor_length


SETTINGS = {
    32: Settings(
        side=32,
        paddle_length=2,
        thickness=0.5,
        margins=(1,),
        seed_distance=7,
        marker_radius=1.5,
        distractor_dashes=20,
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
        distractor_dashes=35,
        continuity=1.8,
        contour_contrast=0.9,
        distractor_contrast=0.9,
    ),
}

CONTOUR_LENGTHS = {"easy": 6, "intermediate": 9, "hard": 14}


def settings_of(resolution: int, level: str = "hard") -> Settings:
    """Returns the settings of a size (a key of `SETTINGS`) and a level (one of `CONTOUR_LENGTHS`)."""
    return replace(SETTINGS[resolution], contour_length=CONTOUR_LENGTHS[level])
