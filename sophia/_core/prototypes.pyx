# cython: auto_pickle=False
"""Class prototypes: what HDC classifiers are made of, and the rules that they learn by."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport fabs, isfinite
from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from sophia._core cimport cpu
from sophia._core.buffer cimport F32, I64, Block, close_block, open_block
from sophia._core.rows cimport Rows, close_rows, open_rows, refuse_padding
from sophia._core.vector cimport SOPHIA_BSC, take_dim, whole

from sophia._core.batch import in_parts
from sophia.errors import ShapeError


cdef extern from "hash.h" nogil:
    uint64_t sophia_mix64(uint64_t x) noexcept

cdef extern from "hv_ops.h" nogil:
    void sophia_b1_to_i8(const uint64_t *source, int8_t *out, size_t dim) noexcept

cdef enum:
    STEP = 256              # examples between two looks at signals
    MOST_CLASSES = 65_536
    MOST_EPOCHS = 10_000

RULES = ("online", "adapt")
"""OnlineHD: by how wrong a score was. AdaptHD: by a fixed step."""


_MOST_SUM = 1e28
"""Largest magnitude of a sum that is given: times 128, added up over 2^23 components, it is a float32 still."""


cdef Py_ssize_t _number(object number, str name, Py_ssize_t least, Py_ssize_t most) except -1:
    """The C value of an int from `least` to `most`. ValueError for anything else."""
    if not isinstance(number, bool) and isinstance(number, int):
        exact = whole(number, name)
        if least <= exact <= most:
            return exact
    raise ValueError(f"{name} is {number!r}; it is a number from {least} to {most}")


cdef class _Examples:
    """Rows of hypervectors as int8 components, and their labels, checked."""

    cdef Rows rows
    cdef long long *labels      # ours: the caller's may change while nobody holds the GIL; NULL without any
    cdef bint opened

    def __cinit__(self, Prototypes prototypes not None, rows, labels):
        open_rows(&self.rows, rows, "rows", prototypes.table.dim)
        self.opened = True
        if self.rows.dim != prototypes.table.dim:
            raise ShapeError(f"rows: dim={self.rows.dim}, the prototypes have dim={prototypes.table.dim}")
        if self.rows.model == SOPHIA_BSC and self.rows.block.held:
            refuse_padding(&self.rows, "rows")
        if labels is None:
            return
        cdef Block block
        cdef size_t i
        open_block(&block, labels, "labels", I64, 1, 1, 8, False)
        try:
            if <size_t>block.columns != self.rows.n:
                raise ShapeError(f"labels: {block.columns} of them for {self.rows.n} rows; give one each")
            self.labels = <long long *>malloc(self.rows.n * sizeof(long long) + 1)
            if self.labels == NULL:
                raise MemoryError(f"no memory for {self.rows.n} labels")
            memcpy(self.labels, block.data, self.rows.n * sizeof(long long))
        finally:
            close_block(&block)
        for i in range(self.rows.n):
            if not 0 <= self.labels[i] < <long long>prototypes.table.classes:
                raise ValueError(f"labels: element {i} is {self.labels[i]}; there are {prototypes.table.classes} "
                                 "classes")

    def __dealloc__(self):
        if self.opened:
            close_rows(&self.rows)
        free(self.labels)

    cdef const int8_t *row(self, size_t i, int8_t *scratch) noexcept nogil:
        cdef const int8_t *data = <const int8_t *>(self.rows.data + i * self.rows.stride)
        if self.rows.model != SOPHIA_BSC:
            return data
        sophia_b1_to_i8(<const uint64_t *>data, scratch, self.rows.dim)
        return scratch


@cython.final
cdef class Prototypes:
    """A float32 vector for each of `classes`, learned from labelled hypervectors: packed BSC rows, or int8 rows.

    `add` bundles (the one-shot centroid); `learn` retrains by a rule; `scores` compares. Each example has norm one.
    Sums are taken in one order: the same bits at every SIMD level. 4 bytes a class and component; a score of 10,000
    components takes about .5 us a class, and a class that was moved 10 us at the end of a call. Not for two threads at
    once, but for `scores`.

    Example::

        >>> import numpy
        >>> from sophia._core import hdc
        >>> rows = hdc.random_rows(4, "example")
        >>> prototypes = Prototypes(2, 10_000)
        >>> prototypes.add(rows, numpy.array([0, 0, 1, 1]))
        >>> prototypes.scores(rows).argmax(axis=1).tolist()
        [0, 0, 1, 1]
    """

    def __cinit__(self, classes, dim=10_000):
        self.table.dim = take_dim(dim)
        self.table.classes = <size_t>_number(classes, "classes", 1, MOST_CLASSES)
        self.table.sums = <float *>calloc(self.table.classes * self.table.dim, sizeof(float))
        self.table.squares = <double *>calloc(self.table.classes, sizeof(double))
        self.table.moved = <uint8_t *>calloc(self.table.classes, 1)
        if self.table.sums == NULL or self.table.squares == NULL or self.table.moved == NULL:
            raise MemoryError(f"no memory for {self.table.classes} prototypes of dim={self.table.dim}")

    def __dealloc__(self):
        free(self.table.sums)
        free(self.table.squares)
        free(self.table.moved)

    @classmethod
    def restore(cls, sums):
        """The prototypes of which `sums` (float32 [classes, dim], copied) is :meth:`dump`. ValueError for what is not
        finite, or beyond +-1e28: products with it would not be."""
        cdef Block block
        cdef Prototypes made
        cdef size_t i
        open_block(&block, sums, "sums", F32, 2, 2, 4, False)
        try:
            made = cls(int(block.rows), int(block.columns))
            memcpy(made.table.sums, block.data, <size_t>(block.rows * block.columns) * sizeof(float))
        finally:
            close_block(&block)
        for i in range(made.table.classes * made.table.dim):
            if not fabs(made.table.sums[i]) <= _MOST_SUM:
                place = f"[{i // made.table.dim}, {i % made.table.dim}]"
                if not isfinite(made.table.sums[i]):
                    raise ValueError(f"sums: {place} is not finite")
                raise ValueError(f"sums: {place} is {made.table.sums[i]:.3g}, beyond +-{_MOST_SUM:.0e}")
        memset(made.table.moved, 1, made.table.classes)
        made.refresh()
        return made

    @property
    def classes(self):
        return self.table.classes

    @property
    def dim(self):
        return self.table.dim

    def __repr__(self):
        return f"<Prototypes of {self.classes} classes, dim={self.dim}>"

    cdef int refresh(self) except -1:
        """Works the norms of what was moved out anew: what was added step by step drifts by roundings."""
        cdef size_t c
        with nogil:
            for c in range(self.table.classes):
                if self.table.moved[c]:
                    self.table.squares[c] = sophia_norm_f32(self.table.sums + c * self.table.dim, self.table.dim)
                    self.table.moved[c] = 0
        return 0

    def dump(self):
        """A copy of the sums: numpy float32 [classes, dim]."""
        import numpy

        cdef Block block
        out = numpy.empty((self.table.classes, self.table.dim), numpy.float32)
        open_block(&block, out, "out", F32, 2, 2, 4, True)
        memcpy(block.data, self.table.sums, self.table.classes * self.table.dim * sizeof(float))
        close_block(&block)
        return out

    def grow(self, classes):
        """Prototypes of so many classes, of which the first are these. ValueError for fewer."""
        cdef Prototypes made = Prototypes(classes, int(self.table.dim))
        if made.table.classes < self.table.classes:
            raise ValueError(f"classes is {classes}; there are {self.table.classes} already")
        memcpy(made.table.sums, self.table.sums, self.table.classes * self.table.dim * sizeof(float))
        memcpy(made.table.squares, self.table.squares, self.table.classes * sizeof(double))
        memcpy(made.table.moved, self.table.moved, self.table.classes)
        return made

    def add(self, rows, labels):
        """Adds each row, at norm one, to the prototype of its label (int64[n])."""
        cdef _Examples examples = _Examples(self, rows, labels)
        cdef size_t i
        cdef const int8_t *row
        cdef const long long *numbers = examples.labels
        cdef double norm
        cdef int8_t *scratch = <int8_t *>malloc(self.table.dim)
        if scratch == NULL:
            raise MemoryError(f"no memory for {self.table.dim} components")
        try:
            with nogil:
                for i in range(examples.rows.n):
                    row = examples.row(i, scratch)
                    norm = sophia_norm_i8(row, self.table.dim)
                    if norm > 0:
                        cpu.active.ln.add_f32_i8(row, <float>(1.0 / norm),
                                                 self.table.sums + numbers[i] * self.table.dim, self.table.dim)
                        self.table.moved[numbers[i]] = 1
        finally:
            free(scratch)
        self.refresh()

    def learn(self, rows, labels, *, rule="online", rate=1.0, margin=0.0, epochs=1, seed=0):
        """Runs `epochs` passes over the examples, each in an order that `seed` shuffles; how many were learned from.

        An example is learned from where the score (cosine) of its label does not lead all others by more than `margin`:
        its prototype is moved towards it, that of the highest other score away, by `rate` times one minus the score
        ("online") or by `rate` ("adapt"). A row has norm one, a centroid of n examples at most n. Stops after a pass
        that learned from none. Interrupted, what was learned so far stays.
        """
        if rule not in RULES:
            raise ValueError(f"rule is {rule!r}; use one of {', '.join(RULES)}")
        if not 0 < rate <= 1e6 or not 0 <= margin <= 2:
            raise ValueError(f"rate is {rate!r}, margin {margin!r}; use 0 to a million (0 not included), and 0 to 2")
        cdef int passes = <int>_number(epochs, "epochs", 0, MOST_EPOCHS)
        cdef _Examples examples = _Examples(self, rows, labels)
        cdef sophia_prototype_rule how = SOPHIA_RULE_ADAPT if rule == "adapt" else SOPHIA_RULE_ONLINE
        cdef double speed = rate, lead = margin
        cdef size_t n = examples.rows.n, i, j, until
        cdef uint64_t state, key = sophia_mix64(<uint64_t>(whole(seed, "seed") & 0xFFFFFFFFFFFFFFFF) + 1)
        cdef uint32_t held
        cdef const long long *numbers = examples.labels
        cdef uint32_t *order
        cdef double *scores
        cdef int8_t *scratch
        cdef uint64_t moved, total = 0
        cdef int epoch
        if n >= 1 << 32:
            raise ValueError(f"rows: {n} of them; at most 2^32 - 1")
        order = <uint32_t *>malloc(n * sizeof(uint32_t) + 1)
        scores = <double *>malloc(self.table.classes * sizeof(double))
        scratch = <int8_t *>malloc(self.table.dim)
        try:
            if order == NULL or scores == NULL or scratch == NULL:
                raise MemoryError("no memory for a training pass")
            for epoch in range(passes):
                state = sophia_mix64(key + <uint64_t>epoch)
                for i in range(n):
                    order[i] = <uint32_t>i
                i = n
                while i > 1:            # Fisher and Yates
                    i -= 1
                    state = sophia_mix64(state + i)
                    j = state % (i + 1)
                    held = order[i]
                    order[i] = order[j]
                    order[j] = held
                moved = 0
                i = 0
                while i < n:
                    until = min(n, i + STEP)
                    with nogil:
                        while i < until:
                            j = order[i]
                            moved += sophia_prototype_learn(
                                &self.table, examples.row(j, scratch), <size_t>numbers[j], how, speed, lead,
                                &cpu.active.ln, scores
                            )
                            i += 1
                    PyErr_CheckSignals()
                self.refresh()
                total += moved
                if moved == 0:
                    break
        finally:
            free(order)
            free(scores)
            free(scratch)
        return total

    def scores(self, rows, *, workers=1):
        """The cosine of each row with each prototype: numpy float64 [n, classes]; 0 where one of the two is zero."""
        return self._compared(rows, workers, True)

    def products(self, rows, *, workers=1):
        """The dot product of each row with each prototype: numpy float64 [n, classes]."""
        return self._compared(rows, workers, False)

    cdef object _compared(self, object rows, object workers, bint cosine):
        import numpy

        cdef Block block
        cdef _Scoring job = _Scoring.__new__(_Scoring)
        job.prototypes = self
        job.cosine = cosine
        job.examples = _Examples(self, rows, None)
        out = numpy.empty((job.examples.rows.n, self.table.classes))
        open_block(&block, out.view(numpy.int64), "out", I64, 2, 2, 8, True)
        try:
            job.out = <double *>block.data
            in_parts(job, <Py_ssize_t>job.examples.rows.n, workers)
        finally:
            job.out = NULL
            close_block(&block)
        return out


@cython.final
cdef class _Scoring:
    """Rows that are being scored: called with a range of them, from any thread."""

    cdef Prototypes prototypes
    cdef _Examples examples
    cdef double *out        # NULL but while they are
    cdef bint cosine

    def __init__(self):
        raise TypeError("_Scoring: made by Prototypes alone")

    def __call__(self, tuple part):
        if self.out == NULL:
            raise TypeError("_Scoring: has nothing to score; it is called by Prototypes alone")
        cdef size_t i = part[0], stop = part[1], until, c, classes = self.prototypes.table.classes
        cdef const int8_t *row
        cdef int8_t *scratch = <int8_t *>malloc(self.prototypes.table.dim)
        if scratch == NULL:
            raise MemoryError(f"no memory for {self.prototypes.table.dim} components")
        try:
            while i < stop:
                until = min(stop, i + STEP)
                with nogil:
                    while i < until:
                        row = self.examples.row(i, scratch)
                        if self.cosine:
                            sophia_prototype_scores(&self.prototypes.table, row,
                                                    sophia_norm_i8(row, self.prototypes.table.dim), &cpu.active.ln,
                                                    self.out + i * classes)
                        else:
                            for c in range(classes):
                                self.out[i * classes + c] = cpu.active.ln.dot_f32_i8(
                                    self.prototypes.table.sums + c * self.prototypes.table.dim, row,
                                    self.prototypes.table.dim
                                )
                        i += 1
                PyErr_CheckSignals()
        finally:
            free(scratch)
