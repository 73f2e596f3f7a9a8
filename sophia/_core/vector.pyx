# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
"""Hypervectors of the two compiled models.

`Hypervector` is a working vector: its own bytes from a per-thread pool, or borrowed from an arena.
`SharedVector` is a message: frozen at creation, counted in C so that native workers hold it without the GIL,
and leaving to numpy, Arrow and DLPack without a copy. Both keep the layout of `include/layout.h`.
"""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.number cimport PyNumber_Index
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from sophia._core.arena cimport HDCArena
from sophia._core.buffer cimport I8, U8, U64, Block, close_block, open_block

from sophia.errors import ShapeError, StaleArenaError


cdef extern from "pool.h" nogil:
    ctypedef struct sophia_pool_class:
        size_t size, count
    ctypedef struct sophia_pool:
        uint64_t hits, misses
        sophia_pool_class classes[8]
    sophia_pool *sophia_pool_get() noexcept
    void *sophia_pool_take(size_t size) noexcept
    void sophia_pool_give(void *block, size_t size) noexcept
    size_t sophia_pool_set_keep(size_t blocks) noexcept
    const size_t SOPHIA_POOL_CLASSES

cdef extern from "shared.h" nogil:
    sophia_shared *sophia_shared_new(uint32_t model, size_t dim, size_t nbytes, size_t payload,
                                     uint64_t key) noexcept
    uint64_t sophia_shared_hash(sophia_shared *block) noexcept
    uint64_t sophia_vector_digest(const void *data, size_t payload, uint32_t model, size_t dim,
                                  uint64_t key) noexcept

cdef extern from "exchange.h" nogil:
    struct ArrowSchema:
        void (*release)(ArrowSchema *) noexcept
    struct ArrowArray:
        void (*release)(ArrowArray *) noexcept
    ctypedef struct sophia_dl_managed:
        void (*deleter)(sophia_dl_managed *) noexcept
    int sophia_arrow_export(sophia_shared *block, ArrowSchema *schema, ArrowArray *array) noexcept
    sophia_dl_managed *sophia_dl_export(sophia_shared *block) noexcept
    enum:
        SOPHIA_DL_CPU


DEFAULT_DIM = 10_000


cdef int raise_stale() except -1:
    raise StaleArenaError(
        "vector: borrowed from an arena that was reset() or rewound since; freeze() or copy() what must stay"
    )


cdef int raise_empty() except -1:
    raise TypeError("vector: made by __new__ and never filled; call the class or one of its from_... "
                    "functions")


cdef int model_code(str model) except -1:
    if model == "BSC":
        return SOPHIA_BSC
    if model == "MAP":
        return SOPHIA_MAP
    raise ValueError(f"model: {model!r} is not compiled; choose 'BSC' (packed bits) or 'MAP' (int8)")


cdef str model_name(int model):
    return "BSC" if model == SOPHIA_BSC else "MAP"


cdef int check_dim(Py_ssize_t dim) except -1:
    if dim < <Py_ssize_t>SOPHIA_LEAST_DIM or dim > <Py_ssize_t>SOPHIA_MOST_DIM:
        raise ShapeError(f"dim: {dim} is outside {SOPHIA_LEAST_DIM}..{SOPHIA_MOST_DIM}")
    return 0


cdef size_t take_dim(object dim) except 0:
    cdef Py_ssize_t value = dim
    check_dim(value)
    return <size_t>value


cdef object whole(object number, str name):
    try:
        return PyNumber_Index(number)
    except TypeError:
        raise TypeError(f"{name}: a {type(number).__name__} ({number!r}) is no whole number") from None


cdef void release(sophia_shared *block) noexcept nogil:
    sophia_shared_release(block)


cdef void *scratch_take(size_t size) noexcept nogil:
    return sophia_pool_take(size)


cdef void scratch_give(void *block, size_t size) noexcept nogil:
    sophia_pool_give(block, size)


cdef int _lay_out(Vector vector, int model, size_t dim) except -1:
    vector.model = model
    vector.dim = dim
    vector.nbytes = sophia_row_bytes(model, dim)
    vector.length = <Py_ssize_t>(vector.nbytes if model == SOPHIA_BSC else dim)
    vector.stride = 1
    return 0


cdef int _own(Hypervector vector) except -1:
    vector.data = <uint8_t *>sophia_pool_take(vector.nbytes)
    if vector.data == NULL:
        raise MemoryError(f"vector: no memory for {vector.nbytes} bytes")
    return 0


cdef int _export(Vector vector, Py_buffer *view, int flags) except -1:
    if flags & PyBUF_WRITABLE:
        raise BufferError("vector: its buffer is read-only; write through out= or make a new one")
    view.buf = vector.data
    view.len = vector.length
    view.itemsize = 1
    view.readonly = 1
    view.ndim = 1
    view.format = NULL
    if flags & PyBUF_FORMAT:
        view.format = b"B" if vector.model == SOPHIA_BSC else b"b"
    view.shape = &vector.length if flags & PyBUF_ND else NULL
    view.strides = &vector.stride if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
    view.suboffsets = NULL
    view.internal = NULL
    view.obj = vector
    return 0


cdef object _equal(Vector one, object other):
    if not is_vector(other):
        return NotImplemented
    cdef Vector two = <Vector>other
    alive(one)
    alive(two)
    return one.model == two.model and one.dim == two.dim and memcmp(one.data, two.data, one.nbytes) == 0


cdef class Vector:
    """What a Hypervector and a SharedVector have in common. Not made directly."""

    def __init__(self):
        raise TypeError("a Vector is a Hypervector or a SharedVector; make one of these")

    @property
    def dim(self) -> int:
        """Number of components."""
        return self.dim

    @property
    def model(self) -> str:
        """"BSC" or "MAP"."""
        return model_name(self.model)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, with the padding to a multiple of 64."""
        return self.nbytes

    def tobytes(self) -> bytes:
        """The components without padding: ceil(dim / 8) bytes of bits, or dim bytes of int8."""
        alive(self)
        cdef size_t size = sophia_payload_bytes(self.model, self.dim)
        return PyBytes_FromStringAndSize(<char *>self.data, <Py_ssize_t>size)

    def copy(self) -> Hypervector:
        """A Hypervector of its own with the same components."""
        alive(self)
        cdef Hypervector result = new_vector(self.model, self.dim, None)
        memcpy(result.data, self.data, self.nbytes)
        return result

    def freeze(self, key=0) -> SharedVector:
        """A SharedVector with the same components, whose digest is taken under `key`, 0 to 2^64 - 1. Copies once."""
        return freeze(self, _key(key))

    def __len__(self) -> int:
        return self.dim

    def __eq__(self, other: object):
        return _equal(self, other)

    __hash__ = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {model_name(self.model)} dim={self.dim}>"


@cython.final
@cython.no_gc
cdef class Hypervector(Vector):
    """A working hypervector: BSC (packed bits) or MAP (int8 in {-1, +1}).

    `Hypervector(model, dim)` is the identity of bind: all bits 0, or all components +1. The operations are in
    :mod:`sophia._core.hdc`; they never change an input and write to an existing vector only through `out=`.
    The buffer protocol gives the bytes read-only: uint8[nbytes] for BSC, int8[dim] for MAP.

    Memory comes from this thread's block pool (64-byte aligned, bounded), or from an arena: a borrowed vector
    raises StaleArenaError once the arena took its bytes back. Not hashable, because `out=` may change it;
    freeze() gives a hashable one. Thread-safety: like a bytearray; do not write it in one thread and read it
    in another.

        >>> Hypervector("BSC", 10_000).nbytes
        1280
    """

    def __init__(self, str model="BSC", Py_ssize_t dim=10_000):
        if self.data != NULL:
            raise TypeError("Hypervector: already initialised")
        check_dim(dim)
        _lay_out(self, model_code(model), <size_t>dim)
        _own(self)
        memset(self.data, 0, self.nbytes)
        if self.model == SOPHIA_MAP:
            memset(self.data, 1, self.dim)

    def __dealloc__(self):
        if self.lender == NULL and self.data != NULL:
            sophia_pool_give(self.data, self.nbytes)

    @staticmethod
    def from_buffer(source: object, dim: int | None = None, *, clear_padding: bool = False) -> Hypervector:
        """A copy of a one-dimensional C-contiguous buffer; the dtype says the model.

        int8[dim] gives MAP: every component must be -1 or +1. uint8 or uint64 gives BSC: the packed bits,
        with or without padding (for 10,000: 1,250, 1,256 or 1,280 bytes); `dim` is needed unless it is
        10,000. Set padding bits are refused, or cleared with `clear_padding`. Raises ShapeError for anything
        else.
        """
        cdef Block block
        cdef Hypervector result
        cdef size_t size, bad
        open_block(&block, source, "source", U8 | I8 | U64, 1, 1, 1, False)
        try:
            if block.dtype == I8:
                if dim is not None and take_dim(dim) != <size_t>block.columns:
                    raise ShapeError(f"source: {block.columns} components where dim={dim} says otherwise")
                check_dim(block.columns)
                bad = sophia_first_not_bipolar(<int8_t *>block.data, <size_t>block.columns)
                if bad < <size_t>block.columns:
                    raise ShapeError(
                        f"source: component {bad} is {(<int8_t *>block.data)[bad]}; a MAP vector holds only "
                        "-1 and +1 (numpy: numpy.where(source < 0, -1, 1).astype(numpy.int8))"
                    )
                result = new_vector(SOPHIA_MAP, <size_t>block.columns, None)
                memcpy(result.data, block.data, <size_t>block.columns)
                return result
            size = <size_t>(block.columns * block.itemsize)
            result = _packed(<unsigned char *>block.data, size, dim, clear_padding)
            return result
        finally:
            close_block(&block)

    @staticmethod
    def from_bytes(data: bytes, dim: int = 10_000, model: str = "BSC") -> Hypervector:
        """The inverse of tobytes(). Raises ShapeError for a wrong length, a set padding bit, or a bad
        component."""
        return _restore(Hypervector, model, dim, data)

    @property
    def borrowed(self) -> bool:
        """Whether the bytes belong to an arena."""
        return self.lender != NULL

    def __getbuffer__(self, Py_buffer *view, int flags):
        alive(self)
        _export(self, view, flags)
        if self.lender != NULL:
            self.arena.state.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        if self.lender != NULL:
            self.arena.state.exports -= 1

    def __reduce__(self):
        return _restore, (Hypervector, model_name(self.model), self.dim, self.tobytes())


@cython.final
cdef class SharedVector(Vector):
    """A frozen hypervector: the payload of a message.

    Made by `freeze()` of a Hypervector, or `SharedVector.from_bytes`. Its bytes never change. Sending it
    copies nothing: Python holds the object, native workers hold its counted C block without the GIL. It
    leaves as a read-only buffer (numpy.asarray), as an Arrow array (pyarrow.array) and as a DLPack tensor
    (numpy.from_dlpack, torch.from_dlpack), each without a copy and each valid after the SharedVector is gone.

    `digest` is 64 bits over model, dimension and components, under the key given at creation; computed once
    (about 100 ns for 1,280 bytes) and cached. It is fast, not cryptographic: compare bytes on a hit (`==`
    does). Equal vectors hash alike whatever their keys. Thread-safety: every method from any thread.

        >>> from sophia._core import hdc
        >>> shared = hdc.random("a").freeze()
        >>> shared == hdc.random("a"), shared.digest == hdc.random("a").freeze().digest
        (True, True)
    """

    def __init__(self):
        raise TypeError("a SharedVector comes from Hypervector.freeze() or SharedVector.from_bytes()")

    def __dealloc__(self):
        if self.block != NULL:
            sophia_shared_release(self.block)

    @staticmethod
    def from_bytes(data: bytes, dim: int = 10_000, model: str = "BSC", key: int = 0) -> SharedVector:
        """Frozen from what tobytes() gives. Raises ShapeError as Hypervector.from_bytes does."""
        return _restore(SharedVector, model, dim, data, key)

    def freeze(self, key=0) -> SharedVector:
        """Itself when the digest's key is the same; else a copy under the other key."""
        cdef uint64_t wanted = _key(key)
        alive(self)
        return self if wanted == self.block.key else freeze(self, wanted)

    @property
    def digest(self) -> int:
        """64-bit keyed digest, never 0."""
        alive(self)
        return sophia_shared_digest(self.block)

    @property
    def key(self) -> int:
        """The key of `digest`."""
        alive(self)
        return self.block.key

    @property
    def references(self) -> int:
        """Holders of the C block now: this object, its exports, and native workers."""
        alive(self)
        return sophia_shared_references(self.block)

    def __eq__(self, other: object):
        return _equal(self, other)

    def __hash__(self) -> int:
        alive(self)
        return <Py_hash_t>(sophia_shared_hash(self.block) >> 1)

    def __getbuffer__(self, Py_buffer *view, int flags):
        alive(self)
        _export(self, view, flags)

    def __reduce__(self):
        return _restore, (SharedVector, model_name(self.model), self.dim, self.tobytes(), self.block.key)

    def __dlpack_device__(self) -> tuple[int, int]:
        return SOPHIA_DL_CPU, 0

    def __dlpack__(self, *, stream: object = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> object:
        """A DLPack 1 capsule over the same bytes, flagged read-only."""
        alive(self)
        if stream is not None:
            raise ValueError("__dlpack__: a CPU tensor has no stream")
        if max_version is None or max_version[0] < 1:
            raise BufferError("__dlpack__: the consumer cannot say read-only (DLPack before 1.0); pass "
                              "copy() instead")
        if dl_device is not None and tuple(dl_device) != (SOPHIA_DL_CPU, 0):
            raise BufferError(f"__dlpack__: the bytes are on the CPU, not on device {dl_device}")
        if copy:
            raise BufferError("__dlpack__: exported without a copy only; copy the result")
        cdef sophia_dl_managed *managed = sophia_dl_export(self.block)
        if managed == NULL:
            raise MemoryError("__dlpack__: no memory for the tensor header")
        try:
            return PyCapsule_New(managed, b"dltensor_versioned", _drop_tensor)
        except BaseException:
            managed.deleter(managed)
            raise

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """The Arrow C data interface: uint8[nbytes] for BSC, int8[dim] for MAP. No other is offered."""
        alive(self)
        cdef ArrowSchema *schema = <ArrowSchema *>calloc(1, sizeof(ArrowSchema))
        cdef ArrowArray *array = <ArrowArray *>calloc(1, sizeof(ArrowArray))
        if schema == NULL or array == NULL or sophia_arrow_export(self.block, schema, array):
            free(schema)
            free(array)
            raise MemoryError("__arrow_c_array__: no memory for the headers")
        cdef object first
        try:
            first = PyCapsule_New(schema, b"arrow_schema", _drop_schema)
        except BaseException:
            schema.release(schema)
            free(schema)
            array.release(array)
            free(array)
            raise
        try:
            return first, PyCapsule_New(array, b"arrow_array", _drop_array)
        except BaseException:
            array.release(array)
            free(array)
            raise


cdef void _drop_tensor(object capsule) noexcept:
    cdef sophia_dl_managed *managed
    if PyCapsule_IsValid(capsule, b"dltensor_versioned"):   # else the consumer took it and renamed it
        managed = <sophia_dl_managed *>PyCapsule_GetPointer(capsule, b"dltensor_versioned")
        managed.deleter(managed)


cdef void _drop_schema(object capsule) noexcept:
    cdef ArrowSchema *schema = <ArrowSchema *>PyCapsule_GetPointer(capsule, b"arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void _drop_array(object capsule) noexcept:
    cdef ArrowArray *array = <ArrowArray *>PyCapsule_GetPointer(capsule, b"arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef Hypervector new_vector(int model, size_t dim, HDCArena arena):
    cdef Hypervector result = Hypervector.__new__(Hypervector)
    _lay_out(result, model, dim)
    if arena is None:
        _own(result)
    else:
        result.data = <uint8_t *>arena.take(result.nbytes, &result.position)
        result.arena = arena
        result.lender = &arena.state
        result.generation = arena.state.generation
    if model == SOPHIA_MAP:
        memset(result.data + dim, 0, result.nbytes - dim)
    else:
        memset(result.data + result.nbytes - 64, 0, 64)
    return result


cdef Hypervector result_for(int model, size_t dim, object out, HDCArena arena):
    cdef Hypervector vector
    if out is None:
        return new_vector(model, dim, arena)
    if type(out) is not Hypervector:
        raise TypeError(f"out: a {type(out).__name__} cannot be written; give a Hypervector")
    if arena is not None:
        raise ValueError("out= and arena= name two places for one result; give one of them")
    vector = <Hypervector>out
    alive(vector)
    if vector.model != model or vector.dim != dim:
        raise ShapeError(
            f"out is {model_name(vector.model)} dim={vector.dim}, the result {model_name(model)} dim={dim}; "
            "both must have one model and one dimension"
        )
    return vector


cdef SharedVector adopt(sophia_shared *block):
    cdef SharedVector result = SharedVector.__new__(SharedVector)
    _lay_out(result, <int>block.model, block.dim)
    result.block = block
    result.data = sophia_shared_bytes(block)
    return result


cdef uint64_t _key(object key) except? 0:
    """The key of a digest. A C type alone would cut what is between two numbers."""
    key = whole(key, "key")
    if not 0 <= key < 1 << 64:
        raise ValueError(f"key is {key}; it is 0 to 2^64 - 1")
    return key


cdef SharedVector freeze(Vector source, uint64_t key):
    alive(source)
    cdef sophia_shared *block = sophia_shared_new(
        <uint32_t>source.model, source.dim, source.nbytes, sophia_payload_bytes(source.model, source.dim), key
    )
    if block == NULL:
        raise MemoryError(f"freeze: no memory for {source.nbytes} bytes")
    memcpy(sophia_shared_bytes(block), source.data, source.nbytes)
    return adopt(block)


cdef Hypervector _packed(const unsigned char *data, size_t size, object dim, bint clear_padding):
    """A BSC vector from `size` packed bytes, padded or not."""
    cdef size_t wanted, payload, row
    wanted = take_dim(DEFAULT_DIM if dim is None else dim)
    payload = sophia_payload_bytes(SOPHIA_BSC, wanted)
    row = sophia_row_bytes(SOPHIA_BSC, wanted)
    if size != payload and size != row and size != (wanted + 63) // 64 * 8:
        raise ShapeError(
            f"source: {size} bytes of packed bits where dim={wanted} needs {payload} (or {row} with padding); "
            "pass dim= for another length"
        )
    cdef Hypervector result = new_vector(SOPHIA_BSC, wanted, None)
    memset(result.data, 0, row)
    memcpy(result.data, data, size)
    if sophia_padding_dirty(result.data, wanted):
        if not clear_padding:
            raise ShapeError(
                f"source: a padding bit (past bit {wanted - 1}) is set; pass clear_padding=True to drop such "
                "bits"
            )
        sophia_padding_clear(result.data, wanted)
    return result


def _restore(type kind, str model, Py_ssize_t dim, bytes data, key=0) -> Vector:
    """Unpickles, and checks: a damaged or foreign pickle is refused like any foreign buffer."""
    cdef int code = model_code(model)
    cdef Py_ssize_t payload
    check_dim(dim)
    payload = <Py_ssize_t>sophia_payload_bytes(code, <size_t>dim)
    if len(data) != payload:
        raise ShapeError(f"data: {len(data)} bytes where {model} with dim={dim} has {payload}")
    cdef object source = data if code == SOPHIA_BSC else memoryview(data).cast("b")
    cdef Hypervector result = Hypervector.from_buffer(source, dim)
    return result.freeze(key) if kind is SharedVector else result


def pool_counters() -> dict[str, int]:
    """This thread's block pool: `hits`, `misses` (blocks asked of the system), `blocks` and `bytes` kept."""
    cdef sophia_pool *pool = sophia_pool_get()
    cdef size_t i, blocks = 0, size = 0
    if pool == NULL:
        raise MemoryError("pool_counters: no memory for this thread's pool")
    for i in range(SOPHIA_POOL_CLASSES):
        blocks += pool.classes[i].count
        size += pool.classes[i].count * pool.classes[i].size
    return {"hits": pool.hits, "misses": pool.misses, "blocks": blocks, "bytes": size}


def set_pool_blocks(blocks) -> int:
    """How many blocks of one size a thread keeps for its next results; returns the bound before.

    0 to 64, the default; with 0 every result comes from the system allocator. For all threads.
    """
    return sophia_pool_set_keep(<size_t>whole(blocks, "blocks"))


def churn_references(SharedVector shared not None, size_t cycles) -> None:
    """Takes and gives back `cycles` references of the C block with the GIL released, as native workers do.

    For stress tests: however many threads run it, `shared.references` is unchanged afterwards.
    """
    alive(shared)
    cdef sophia_shared *block = shared.block
    cdef size_t _cycle
    with nogil:
        for _cycle in range(cycles):
            sophia_shared_retain(block)
            sophia_shared_release(block)
