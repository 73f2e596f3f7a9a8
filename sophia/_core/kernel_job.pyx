# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
"""The jobs that a native pool can be given: their operands, checked and held, and what a worker does with them.

Operands are read in place: numpy rows, memory maps, single vectors, and lists of SharedVectors as lists of pointers.
"""

cimport cython
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from sophia._core cimport cpu
from sophia._core.buffer cimport F64, I8, U8, U32, Block, close_block, open_block, overlap
from sophia._core.cpu cimport sophia_hv_kernels, sophia_kv_kernels
from sophia._core.hdc cimport (
    sophia_bundle_b1,
    sophia_bundle_i8,
    sophia_bundle_scratch,
    sophia_tally_b1,
    sophia_tally_close_b1,
    sophia_tally_i8,
    sophia_tally_open_b1,
    sophia_voters,
    sophia_voters_part,
)
from sophia._core.job cimport (
    Job,
    Task,
    sophia_done,
    sophia_job,
    sophia_job_open,
    sophia_workers,
    sophia_workers_abandoned,
)
from sophia._core.kindex cimport sophia_kv_cosine_matrix
from sophia._core.rows cimport (
    Rows,
    check_rows,
    check_same,
    close_rows,
    new_array,
    new_rows,
    open_operand,
    refuse_dirty,
    taken,
    told_dim,
)
from sophia._core.search cimport (
    HAMMING,
    answer,
    new_tops,
    sophia_scan_b1,
    sophia_top,
    sophia_top_offer,
    sophia_top_sort,
    take_k,
)
from sophia._core.vector cimport (
    SOPHIA_BSC,
    Hypervector,
    SharedVector,
    Vector,
    alive,
    model_name,
    new_vector,
    scratch_give,
    scratch_take,
    sophia_first_dirty_row,
    sophia_padding_mask,
)

from sophia.errors import ShapeError

# What work costs, for the choice of the thread: bytes a second that kernels read from a cache, seconds a pair of
# K-Vectors.
cdef double _SCAN = 25e9
cdef double _VOTE = 60e9
cdef double _PAIR = 3e-9

cdef enum:
    SPAN = 16384        # rows of 1280 bytes between two looks whether the workers are abandoned: about a millisecond
    SPAN_LEAST = 127    # rows, however long they are: a bundle counts so many at once (SOPHIA_GROUP_ROWS)


cdef inline size_t _span(size_t stride) noexcept nogil:
    return max(<size_t>SPAN_LEAST, min(<size_t>SPAN, <size_t>SPAN * 1280 // (stride + 1)))


# ---- operands ----

cdef inline const void *_row(const Operand *operand, size_t i) noexcept nogil:
    return operand.list[i] if operand.list != NULL else operand.rows.data + i * operand.rows.stride


cdef int _open(Operand *operand, object source, str name, object dim, size_t told) except -1:
    """Opens what a caller gave. The vectors of a list are borrowed: the caller of this keeps the tuple."""
    cdef Vector vector
    cdef size_t i
    memset(operand, 0, sizeof(Operand))
    if type(source) is not tuple:
        open_operand(&operand.rows, source, name, dim, told)
        operand.n = operand.rows.n
        return 0
    vectors = <tuple>source
    if not vectors:
        raise ValueError(f"{name}: an empty list")
    operand.list = <const void **>malloc(len(vectors) * sizeof(void *))
    if operand.list == NULL:
        raise MemoryError(f"{name}: no memory for {len(vectors)} pointers")
    try:
        for i in range(<size_t>len(vectors)):
            if type(vectors[i]) is not SharedVector:
                raise TypeError(f"{name}: element {i} is a {type(vectors[i]).__name__}; a list holds SharedVectors, "
                                "which nobody can change meanwhile: freeze() others")
            vector = <Vector>vectors[i]
            alive(vector)
            if i == 0:
                operand.rows.model = vector.model
                operand.rows.dtype = U8 if vector.model == SOPHIA_BSC else I8
                operand.rows.dim = vector.dim
                operand.rows.stride = vector.nbytes if vector.model == SOPHIA_BSC else vector.dim
                operand.rows.matrix = True
                operand.rows.vector = True
            if vector.model != operand.rows.model or vector.dim != operand.rows.dim:
                raise ShapeError(
                    f"{name}: element {i} is {model_name(vector.model)} dim={vector.dim}, element 0 is "
                    f"{model_name(operand.rows.model)} dim={operand.rows.dim}"
                )
            operand.list[i] = vector.data
    except BaseException:
        close_operand(operand)
        raise
    operand.n = <size_t>len(vectors)
    operand.rows.n = operand.n
    if dim is not None and operand.rows.dim != told:
        close_operand(operand)
        raise ShapeError(f"{name}: {model_name(vector.model)} dim={vector.dim} where dim={told} says otherwise")
    return 0


cdef void close_operand(Operand *operand) noexcept:
    free(operand.list)
    operand.list = NULL
    close_rows(&operand.rows)


cdef object held(object source):
    return taken(source) if isinstance(source, (list, tuple)) else source


cdef bint _written_over(const Operand *operand, const Block *target) noexcept:
    cdef size_t size = <size_t>target.view.len
    if operand.list == NULL:
        return overlap(operand.rows.data, operand.n * operand.rows.stride, target.data, size)
    return False        # SharedVectors cannot be written through a buffer


# ---- scans: distances, nearest ----

cdef struct Scan:
    Task task
    const sophia_hv_kernels *kernels
    Operand query, rows
    Block target            # uint32 distances; unused for the nearest
    sophia_top *tops        # of the whole and of one span
    uint64_t padding[8]
    uint64_t dirty          # padding bits that are set in some row
    size_t dirty_row        # the first such row


cdef int _distances(sophia_job *job, sophia_workers *workers) noexcept nogil:
    cdef Scan *scan = <Scan *>job
    cdef const uint64_t *query = <const uint64_t *>scan.query.rows.data
    cdef size_t i, count, first = 0, n = scan.rows.n, words = scan.query.rows.stride // 8, most = _span(words * 8)
    cdef uint32_t *out = <uint32_t *>scan.target.data
    while first < n:
        if first and sophia_workers_abandoned(workers):
            return 0
        count = min(most, n - first)
        if scan.rows.list == NULL:
            scan.dirty |= scan.kernels.hamming_rows_b1(query, <const uint64_t *>_row(&scan.rows, first), count, words,
                                                       scan.padding, out + first)
        else:
            for i in range(first, first + count):
                out[i] = <uint32_t>scan.kernels.hamming_b1(query, <const uint64_t *>scan.rows.list[i], words)
        first += count
    _find_dirty(scan)
    return 1


cdef int _nearest(sophia_job *job, sophia_workers *workers) noexcept nogil:
    cdef Scan *scan = <Scan *>job
    cdef const uint64_t *query = <const uint64_t *>scan.query.rows.data
    cdef size_t i, count, first = 0, n = scan.rows.n, words = scan.query.rows.stride // 8, most = _span(words * 8)
    cdef sophia_top *span = &scan.tops[1]
    while first < n:
        if first and sophia_workers_abandoned(workers):
            return 0
        count = min(most, n - first)
        if scan.rows.list == NULL:
            span.count = 0
            scan.dirty |= sophia_scan_b1(scan.kernels, query, 1, <const uint64_t *>_row(&scan.rows, first), count,
                                         words, scan.padding, span)
            for i in range(span.count):
                sophia_top_offer(scan.tops, span.hits[i].order, span.hits[i].row + first)
        else:
            for i in range(first, first + count):
                sophia_top_offer(scan.tops, <int64_t>scan.kernels.hamming_b1(
                    query, <const uint64_t *>scan.rows.list[i], words), i)
        first += count
    sophia_top_sort(scan.tops)
    _find_dirty(scan)
    return 1


cdef inline void _find_dirty(Scan *scan) noexcept nogil:
    """Now, as the rows may be let go before anybody asks what was wrong with them."""
    cdef const Rows *rows = &scan.rows.rows
    if scan.dirty:
        scan.dirty_row = sophia_first_dirty_row(<const uint64_t *>rows.data, rows.n, rows.stride // 8, rows.dim)


@cython.final
cdef class _ScanJob(Job):
    cdef Scan scan
    cdef bint borrowed      # the rows are another's, which is kept

    def __cinit__(self):
        self.task = &self.scan.task

    def __dealloc__(self):
        free(self.scan.tops)

    cdef void drop(self) noexcept:
        close_block(&self.scan.target)
        close_operand(&self.scan.query)
        if not self.borrowed:
            close_operand(&self.scan.rows)

    cdef int verify(self) except -1:
        if self.scan.dirty:
            refuse_dirty(self.scan.dirty_row, &self.scan.rows.rows, "rows")
        return 0

    cdef object make(self):
        if self.scan.tops == NULL:
            return self.out
        return answer(self.scan.tops, 1, False, HAMMING)


cdef object _empty = None
cdef object _uint32 = None


cdef object _new_distances(size_t n):
    """numpy.empty(n, uint32); numpy is loaded when somebody needs it, and its dtype is not looked up each time."""
    global _empty, _uint32
    if _empty is None:
        import numpy

        _empty, _uint32 = numpy.empty, numpy.dtype("uint32")
    return _empty(n, _uint32)


cdef _ScanJob _new_scan(object query, object rows, object dim):
    cdef _ScanJob job = _ScanJob.__new__(_ScanJob)
    cdef Scan *scan = &job.scan
    cdef size_t told
    job.kept = rows = held(rows)
    told = told_dim(dim, query, rows)
    _open(&scan.query, query, "query", dim, told)
    _open(&scan.rows, rows, "rows", dim, told)
    _check_scan(scan)
    return job


cdef int _check_scan(Scan *scan) except -1:
    check_same(&scan.query.rows, &scan.rows.rows, "query", "rows")
    if scan.query.rows.model != SOPHIA_BSC:
        raise ShapeError("rows: MAP vectors; distances are those of packed bits (BSC)")
    if scan.query.rows.matrix:
        raise ShapeError("query: one vector; give a job to each")
    check_rows(&scan.query.rows, "query")
    scan.kernels = &cpu.active.hv
    sophia_padding_mask(scan.query.rows.dim, scan.padding)
    return 0


cdef Job distances_job(sophia_done *done, object query, object rows, object out, object dim):
    cdef _ScanJob job
    cdef Scan *scan
    job = _new_scan(query, rows, dim)
    scan = &job.scan
    job.out = _new_distances(scan.rows.n) if out is None else out
    open_block(&scan.target, job.out, "out", U32, 1, 1, 4, True)
    if <size_t>scan.target.columns != scan.rows.n:
        raise ShapeError(f"out: {scan.target.columns} values where {scan.rows.n} rows give one each")
    if _written_over(&scan.rows, &scan.target) or _written_over(&scan.query, &scan.target):
        raise ValueError("out: overlaps the query or the rows; write into another array")
    sophia_job_open(&scan.task.job, _distances, done, -1)
    job.cost = scan.rows.n * scan.query.rows.stride / _SCAN
    return job


cdef Job nearest_job(sophia_done *done, object query, object rows, object k, object dim):
    cdef _ScanJob job
    cdef Scan *scan
    job = _new_scan(query, rows, dim)
    scan = &job.scan
    scan.tops = new_tops(2, take_k(k, scan.rows.n))
    sophia_job_open(&scan.task.job, _nearest, done, -1)
    job.cost = scan.rows.n * scan.query.rows.stride / _SCAN
    return job


cdef int open_table(Operand *table, object rows, object k, object dim) except -1:
    _open(table, rows, "rows", dim, told_dim(dim, rows, None))
    if table.rows.model != SOPHIA_BSC:
        raise ShapeError("rows: MAP vectors; distances are those of packed bits (BSC)")
    check_rows(&table.rows, "rows")
    take_k(k, table.n)
    return 0


cdef Job nearest_in(sophia_done *done, object query, const Operand *table, object k, object owner):
    cdef _ScanJob job = _ScanJob.__new__(_ScanJob)
    cdef Scan *scan = &job.scan
    job.kept = owner
    job.borrowed = True
    scan.rows = table[0]
    _open(&scan.query, query, "query", None, table.rows.dim)
    _check_scan(scan)
    scan.tops = new_tops(2, take_k(k, scan.rows.n))
    sophia_job_open(&scan.task.job, _nearest, done, -1)
    return job


# ---- bind ----

cdef struct Bind:
    Task task
    const sophia_hv_kernels *kernels
    Operand a, b
    Block target
    char *out
    size_t n, width


cdef int _bind(sophia_job *job, sophia_workers *workers) noexcept nogil:
    cdef Bind *bind = <Bind *>job
    cdef size_t i, most = _span(bind.width)
    cdef const void *a
    cdef const void *b
    for i in range(bind.n):
        if i and i % most == 0 and sophia_workers_abandoned(workers):
            return 0
        a = _row(&bind.a, i if bind.a.rows.matrix else 0)
        b = _row(&bind.b, i if bind.b.rows.matrix else 0)
        if bind.a.rows.model == SOPHIA_BSC:
            bind.kernels.bind_b1(<const uint64_t *>a, <const uint64_t *>b,
                                 <uint64_t *>(bind.out + i * bind.width), bind.width // 8)
        else:
            bind.kernels.bind_i8(<const int8_t *>a, <const int8_t *>b, <int8_t *>(bind.out + i * bind.width),
                                 bind.a.rows.dim)
    return 1


@cython.final
cdef class _BindJob(Job):
    cdef Bind state

    def __cinit__(self):
        self.task = &self.state.task

    cdef void drop(self) noexcept:
        close_block(&self.state.target)
        close_operand(&self.state.a)
        close_operand(&self.state.b)


cdef Job bind_job(sophia_done *done, object a, object b, object dim):
    cdef _BindJob job
    cdef Bind *state
    cdef Hypervector result
    cdef size_t told
    job = _BindJob.__new__(_BindJob)
    state = &job.state
    a, b = held(a), held(b)
    job.kept = (a, b)
    told = told_dim(dim, a, b)
    _open(&state.a, a, "a", dim, told)
    _open(&state.b, b, "b", dim, told)
    check_same(&state.a.rows, &state.b.rows, "a", "b")
    if state.a.rows.matrix and state.b.rows.matrix and state.a.n != state.b.n:
        raise ShapeError(f"a has {state.a.n} rows, b has {state.b.n}; give one row, or as many")
    check_rows(&state.a.rows, "a")
    check_rows(&state.b.rows, "b")
    state.n = state.a.n if state.a.rows.matrix else state.b.n
    state.kernels = &cpu.active.hv
    state.width = state.a.rows.stride if state.a.rows.model == SOPHIA_BSC else state.a.rows.dim
    if state.a.rows.vector and state.b.rows.vector and not state.a.rows.matrix and not state.b.rows.matrix:
        job.out = result = new_vector(state.a.rows.model, state.a.rows.dim, None)
        state.out = <char *>result.data
    else:
        like = &state.b.rows if state.a.rows.vector else &state.a.rows
        job.out = new_rows(like, state.n, state.a.rows.matrix or state.b.rows.matrix)
        open_block(&state.target, job.out, "out", ~0, 1, 2, 1, True)
        state.out = state.target.data
    sophia_job_open(&state.task.job, _bind, done, -1)
    job.cost = state.n * state.width / _SCAN
    return job


# ---- bundle ----

cdef struct Bundle:
    Task task
    const sophia_hv_kernels *kernels
    Operand rows
    sophia_voters voters
    void *scratch
    size_t scratch_size
    uint8_t *out


cdef int _bundle(sophia_job *job, sophia_workers *workers) noexcept nogil:
    cdef Bundle *bundle = <Bundle *>job
    cdef bint packed = bundle.rows.rows.model == SOPHIA_BSC
    cdef size_t dim = bundle.rows.rows.dim, n = bundle.voters.n, most = _span(bundle.rows.rows.stride), first = 0
    cdef sophia_voters part
    if bundle.scratch_size == 0:        # few rows
        if packed:
            sophia_bundle_b1(bundle.kernels, &bundle.voters, <uint64_t *>bundle.out, dim,
                             <uint64_t *>bundle.scratch)
        else:
            sophia_bundle_i8(bundle.kernels, &bundle.voters, <int8_t *>bundle.out, dim,
                             <int32_t *>bundle.scratch)
        return 1
    if packed:
        sophia_tally_open_b1(&bundle.voters, dim, <uint64_t *>bundle.scratch)
    else:
        memset(bundle.scratch, 0, dim * sizeof(int32_t))
    while first < n:
        if first and sophia_workers_abandoned(workers):
            return 0
        part = sophia_voters_part(&bundle.voters, first, min(most, n - first))
        if packed:
            sophia_tally_b1(bundle.kernels, &part, dim, <uint64_t *>bundle.scratch)
        else:
            sophia_tally_i8(bundle.kernels, &part, <int32_t *>bundle.scratch, dim)
        first += part.n
    if packed:
        sophia_tally_close_b1(bundle.kernels, &bundle.voters, <uint64_t *>bundle.out, dim, <uint64_t *>bundle.scratch)
    else:
        bundle.kernels.sign_i32(<const int32_t *>bundle.scratch, <int64_t>n, <int8_t *>bundle.out, dim)
    return 1


@cython.final
cdef class _BundleJob(Job):
    cdef Bundle state

    def __cinit__(self):
        self.task = &self.state.task

    cdef void drop(self) noexcept:
        close_operand(&self.state.rows)
        if self.state.scratch != NULL:
            scratch_give(self.state.scratch, self.state.scratch_size)
            self.state.scratch = NULL


cdef Job bundle_job(sophia_done *done, object rows, object dim):
    cdef _BundleJob job
    cdef Bundle *state
    cdef Hypervector result
    job = _BundleJob.__new__(_BundleJob)
    state = &job.state
    job.kept = rows = held(rows)
    _open(&state.rows, rows, "rows", dim, told_dim(dim, rows, None))
    check_rows(&state.rows.rows, "rows")
    if not 0 < state.rows.n < <size_t>0x7FFFFFFF:
        raise ValueError(f"bundle: {state.rows.n} votes; at least one is needed, and less than 2^31")
    state.kernels = &cpu.active.hv
    state.voters.list = state.rows.list
    state.voters.base = <const unsigned char *>state.rows.rows.data
    state.voters.stride = state.rows.rows.stride
    state.voters.n = state.voters.total = state.rows.n
    state.scratch_size = sophia_bundle_scratch(&state.voters, state.rows.rows.model, state.rows.rows.dim)
    if state.scratch_size:
        state.scratch = scratch_take(state.scratch_size)
        if state.scratch == NULL:
            raise MemoryError(f"bundle: no memory for {state.scratch_size} bytes of counts")
    job.out = result = new_vector(state.rows.rows.model, state.rows.rows.dim, None)
    state.out = result.data
    sophia_job_open(&state.task.job, _bundle, done, -1)
    job.cost = state.rows.n * state.rows.rows.stride / _VOTE
    return job


# ---- K-Vectors ----

cdef struct Similar:
    Task task
    const sophia_kv_kernels *kernels
    Block queries, rows, target


cdef int _similar(sophia_job *job, sophia_workers *workers) noexcept nogil:
    cdef Similar *similar = <Similar *>job
    cdef size_t n = <size_t>similar.rows.rows, m = <size_t>similar.queries.rows, most = <size_t>SPAN * 64
    cdef size_t step = most // (n + 1) + 1, wide = min(n, most), q = 0, r
    while q < m:
        r = 0
        while r < n:        # more than once where a step is one query
            if (q or r) and sophia_workers_abandoned(workers):
                return 0
            sophia_kv_cosine_matrix(similar.kernels, <const double *>similar.queries.data + 8 * q, min(step, m - q),
                                    <const double *>similar.rows.data + 8 * r, min(wide, n - r), NULL,
                                    <double *>similar.target.data + q * n + r)
            r += wide
        q += step
    return 1


@cython.final
cdef class _SimilarJob(Job):
    cdef Similar state

    def __cinit__(self):
        self.task = &self.state.task

    cdef void drop(self) noexcept:
        close_block(&self.state.queries)
        close_block(&self.state.rows)
        close_block(&self.state.target)


cdef Job similarities_job(sophia_done *done, object queries, object rows):
    cdef _SimilarJob job
    cdef Similar *state
    job = _SimilarJob.__new__(_SimilarJob)
    state = &job.state
    open_block(&state.queries, queries, "queries", F64, 2, 2, 8, False)
    open_block(&state.rows, rows, "rows", F64, 2, 2, 8, False)
    if state.queries.columns != 8 or state.rows.columns != 8:
        raise ShapeError("queries, rows: a K-Vector has 8 values; "
                         f"given {state.queries.columns} and {state.rows.columns}")
    job.out = new_array([state.queries.rows, state.rows.rows], "float64")
    open_block(&state.target, job.out, "out", F64, 2, 2, 8, True)
    state.kernels = &cpu.active.kv
    sophia_job_open(&state.task.job, _similar, done, -1)
    job.cost = state.queries.rows * state.rows.rows * _PAIR
    return job
