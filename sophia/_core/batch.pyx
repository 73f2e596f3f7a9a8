# cython: auto_pickle=False
"""Whole batches: where their results go, and the threads that make them in parts."""

from sophia._core.arena cimport HDCArena
from sophia._core.buffer cimport I8, U8, Block, close_block, open_block
from sophia._core.rows cimport new_array
from sophia._core.vector cimport SOPHIA_BSC, Hypervector, hold, let_go, result_for, sophia_row_bytes

from sophia.errors import ShapeError


_MOST_WORKERS = 64


cdef class Job:
    """A batch that is being encoded; of no use from Python."""

    def __init__(self):
        raise TypeError(f"{type(self).__name__}: made by the encoders alone")

    cdef bint reads(self, const char *start, const char *end) noexcept:
        return False

    cdef int ready(self) except -1:
        if self.target == NULL:
            raise TypeError(f"{type(self).__name__}: has nothing to encode; it is called by the encoders alone")
        return 0

    cdef object run(self, Py_ssize_t n, size_t dim, object out, object workers):
        cdef Block block
        cdef bint packed = self.form == PACKED
        cdef size_t width = sophia_row_bytes(SOPHIA_BSC, dim) if packed else dim
        if out is None:
            out = new_array([n, width], "uint8" if packed else "int8")
        open_block(&block, out, "out", U8 if packed else I8, 2, 2, 8 if packed else 1, True)
        try:
            if block.rows != n or <size_t>block.columns != width:
                given = f"[{block.rows}, {block.columns}]"
                raise ShapeError(f"out: {given} given, [{n}, {width}] needed for {n} of dim={dim}")
            if self.reads(block.data, block.data + <size_t>n * width):
                raise ValueError("out: overlaps the input; encode into another array")
            self.target = block.data
            self.step = width
            in_parts(self, n, workers)
        finally:
            self.target = NULL
            close_block(&block)
        return out

    cdef Hypervector run_one(self, int model, size_t dim, object out, HDCArena arena):
        cdef Hypervector result = result_for(model, dim, out, arena)
        self.form = PACKED if model == SOPHIA_BSC else SIGNS
        self.target = <char *>result.data
        self.step = result.nbytes
        hold(result)        # the job runs without the GIL
        try:
            self((0, 1))
        finally:
            self.target = NULL
            let_go(result)
        return result


def in_parts(job, Py_ssize_t n, workers):
    """Calls `job((from, to))` for parts that are 0 to `n` together: one, or one for each of `workers` threads.

    The error of the first part that has one is raised, when all have ended.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MOST_WORKERS:
        raise ValueError(f"workers is {workers!r}; it is a number of threads, 1 to {_MOST_WORKERS}")
    cdef Py_ssize_t i, threads = workers
    if threads == 1 or n < 2:
        job((0, n))
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(job, [(n * i // threads, n * (i + 1) // threads) for i in range(threads)]):
            pass
