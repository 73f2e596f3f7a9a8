"""Estimators in scikit-learn's shape over hypervectors: classification, regression, novelty, and texts.

Needs scikit-learn 1.6 or newer (the extra `learn`).

>>> from sophia.hdc.learn import HDCClassifier
>>> X = [[0, 0], [0, 1], [3, 3], [3, 4]]
>>> HDCClassifier(random_state=0).fit(X, ["low", "low", "high", "high"]).predict([[0, 0.5], [3, 3.5]]).tolist()
['low', 'high']
"""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    _message = "sophia.hdc.learn needs scikit-learn 1.6 or newer: pip install 'sophia-hlb[learn]'"
    raise ImportError(_message) from error

from sophia.hdc.learn.anomaly import HDCAnomaly
from sophia.hdc.learn.classifier import HDCClassifier
from sophia.hdc.learn.regressor import HDCRegressor
from sophia.hdc.learn.text import HDCTextEncoder

__all__ = ["HDCAnomaly", "HDCClassifier", "HDCRegressor", "HDCTextEncoder"]
