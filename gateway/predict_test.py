"""Ask the service which sport an image shows: python predict_test.py [host] [url-or-file]"""

import sys
from pathlib import Path

import requests

SAMPLE = Path(__file__).resolve().parent.parent / "dataset/samples/soccer.jpg"

host = sys.argv[1] if len(sys.argv) > 1 else "localhost:9696"
image = sys.argv[2] if len(sys.argv) > 2 else str(SAMPLE)
endpoint = f"{host if '://' in host else 'http://' + host}/predict"

try:
    if "://" in image:
        response = requests.post(endpoint, json={"url": image}, timeout=30)
    else:
        with Path(image).open("rb") as file:
            response = requests.post(endpoint, files={"image": file}, timeout=30)
except (OSError, requests.RequestException) as error:
    sys.exit(f"no answer: {error}")

print(response.text.strip())
sys.exit(0 if response.ok else 1)
