"""OpenVINO's core, which loads its libraries, for the whole process.

Libraries stay loaded with it. A process can crash when one is unloaded while threads or objects of
it are left (ultralytics/ultralytics#25864, openvinotoolkit/openvino#12071).
"""

import openvino
from openvino.frontend import FrontEndManager

CORE = openvino.Core()
FRONTENDS = FrontEndManager()
