"""Golden-section search finds the maximum of each bracket."""

import numpy as np
import pytest

from src.linalg.search import maximise


def test_golden_section_finds_every_maximum():
    centre = np.array([0.3, 1.9, 5.0])
    place, value = maximise(lambda x: 2 - (x - centre) ** 2, np.array([0.2, 0.9, 3.0]), np.array([0.8, 1.91, 8.0]))
    np.testing.assert_allclose(place, centre, atol=1e-7)
    np.testing.assert_allclose(value, 2, rtol=1e-14)
    place, _ = maximise(lambda x: x, np.array([0.0]), np.array([1.0]))
    assert place[0] == pytest.approx(1.0, abs=1e-9)
