"""Which MakeHuman vertices are the 66 face points (see `landmarks66`).

Chosen once: a landmark network's points on fourteen bald renders, carried back to the base mesh
(they agreed within 2 % of the eye distance), made symmetric, the contour respaced evenly, the
lids moved to the vertices of the lid margins. Checked by eye, turned, blinking and smiling.
"""

from typing import Final

import numpy as np

LANDMARK_VERTICES: Final = np.array(
    [
        5738, 5735, 5098, 5242, 5240, 892, 743, 993, 991, 7687, 7463,
        7594, 11849, 11851, 11713, 12332, 12335, 254, 225, 204, 205, 209,
        6984, 6980, 6979, 6999, 7023, 133, 131, 201, 5054, 354, 313,
        312, 7076, 7115, 25, 6762, 6775, 66, 6771, 6777, 6850, 13371,
        13358, 6809, 13373, 13367, 447, 460, 466, 7219, 7207, 7232, 7245,
        496, 490, 477, 5339, 470, 468, 7226, 11942, 7236, 523, 481,
    ],
    np.int64,
)  # fmt: skip
"""int64 [66], vertices of `base_mesh.npz`."""
