"""MLServer's runtime of our model: `mlserver start FOLDER`, with model-settings.json in FOLDER."""

import openvino as ov
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

LABELS = ["badminton", "cricket", "karate", "soccer", "swimming", "tennis", "wrestling"]


class SportsModel(MLModel):
    async def load(self) -> bool:
        self._model = ov.Core().compile_model(self.settings.parameters.uri, "CPU")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = NumpyCodec.decode_input(payload.inputs[0])
        results = self._model(images)
        outputs = [
            NumpyCodec.encode_output(name, results[name]) for name in ("probabilities", "in_domain")
        ]
        labels = StringCodec.encode_output("labels", LABELS * len(images))
        labels.shape = [len(images), len(LABELS)]
        return InferenceResponse(
            model_name=self.name, model_version=self.version, outputs=[*outputs, labels]
        )
