from collections.abc import Callable
from typing import Never

class Job:
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...

def in_parts(job: Callable[[tuple[int, int]], object], n: int, workers: int) -> None: ...
