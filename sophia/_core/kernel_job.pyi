from typing import Any, final

from sophia._core.job import Job

@final
class _ScanJob(Job[Any]): ...

@final
class _BindJob(Job[Any]): ...

@final
class _BundleJob(Job[Any]): ...

@final
class _SimilarJob(Job[Any]): ...
