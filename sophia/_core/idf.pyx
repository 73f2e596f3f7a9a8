# cython: auto_pickle=False
"""IDF table: in how many documents each text feature was seen, and what it therefore weighs.

The features are those of :class:`sophia._core.encode.TextEncoder`: words and character 3- and 4-grams, as
64-bit hashes under a seed. The table grows with what is observed up to a bound, can be told to forget a
document, reports its changes for a store to append, and is saved as one checked block of bytes.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from sophia.errors import StoreCorrupt, StoreVersionError


cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)


cdef extern from "workspace.h" nogil:
    void *sophia_spare_take(void **spare)
    void *sophia_spare_put(void **spare, void *mine)


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high

    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)


cdef enum:
    _HEADER = 56  # bytes: magic, version, seed, bound, documents, swept, features
    _RECORD = 12  # bytes: hash, df; little-endian, as all machines that sophia supports

_MAGIC = b"SOPHIDF\0"
_VERSION = 1
_CHECKSUM_KEY = 0x5350494446

sophia_log2_init()


cdef object utf8_source(object text):
    cdef Py_ssize_t size
    if isinstance(text, str):
        try:
            PyUnicode_AsUTF8AndSize(text, &size)
            return text
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogatepass")
    if isinstance(text, bytes):
        return text
    raise TypeError(f"text must be str or bytes, not {type(text).__name__}")


cdef const unsigned char *utf8_of(object source, Py_ssize_t *size) except NULL:
    if isinstance(source, str):
        return <const unsigned char *>PyUnicode_AsUTF8AndSize(source, size)
    size[0] = PyBytes_GET_SIZE(source)
    return <const unsigned char *>PyBytes_AS_STRING(source)


cdef int raise_code(int code, str what) except -1:
    if code == SOPHIA_FEATURES_NONE:
        raise ValueError(f"{what}: no letter or digit, so it has no features")
    if code == SOPHIA_FEATURES_TOO_LONG:
        raise ValueError(f"{what}: longer than 4 GiB")
    if code == SOPHIA_IDF_NO_DOCUMENT:
        raise ValueError(f"{what}: no document is left to forget")
    if code == SOPHIA_IDF_BAD_RECORD:
        raise StoreCorrupt(f"{what}: a record names the feature 0, which no text has")
    if code == SOPHIA_IDF_BAD_DOCUMENTS:
        raise StoreCorrupt(f"{what}: a number of documents that cannot be")
    raise MemoryError(f"{what}: no memory")


cdef void _pack(unsigned char *out, const sophia_idf_record *records, size_t count) noexcept nogil:
    cdef size_t i
    cdef uint32_t df
    for i in range(count):
        df = <uint32_t>records[i].delta
        memcpy(out + _RECORD * i, &records[i].key, 8)
        memcpy(out + _RECORD * i + 8, &df, 4)


cdef void _unpack(const unsigned char *block, sophia_idf_record *records, size_t count) noexcept nogil:
    cdef size_t i
    cdef uint32_t df
    for i in range(count):
        memcpy(&records[i].key, block + _RECORD * i, 8)
        memcpy(&df, block + _RECORD * i + 8, 4)
        records[i].delta = df


def _checksum(bytes block not None):
    cdef size_t size = <size_t>PyBytes_GET_SIZE(block)
    cdef sophia_hash128 digest = sophia_hash_bytes(PyBytes_AS_STRING(block), size, _CHECKSUM_KEY)
    return int(digest.low).to_bytes(8, "little") + int(digest.high).to_bytes(8, "little")


@cython.final
cdef class IdfTable:
    """Document frequencies of text features, and the weights they give.

    A feature held by df of N documents weighs log2((2N + 2) / (2 df + 1)) bits, rounded to a sixteenth and
    never less than one sixteenth: the BM25 idf (Robertson and Sparck Jones 1976), computed with integers, so
    that every machine gives the same weights. With no document observed all features weigh one bit.

    `bound` is the number of features held, at least 16,384 (a slot takes 16 bytes, a table 26 to 64 bytes a
    feature). When it is full the rarest features leave until a quarter is free (lossy counting, Manku and
    Motwani 2002); a feature that comes back starts at 0, so a frequency is never too high. `swept` says how
    many have left.

    Thread-safe: one mutex, held for the work on one text. Observing an 80-feature text takes about 1 us, once
    in a while a growth of the table (about 20 ns a feature held).

    Example::

        >>> idf = IdfTable(seed=7)
        >>> for text in ("the cat", "the dog", "the hen"):
        ...     idf.observe(text)
        >>> idf.documents, idf.df("the"), idf.df("cat"), idf.df("cow")
        (3, 3, 1, 0)
        >>> idf.weight("the") < idf.weight("cat") < idf.weight("cow")
        True
        >>> idf.forget("the cat")
        >>> idf.df("cat")
        0
    """

    def __cinit__(self, *, seed=0, bound=1 << 20):
        pthread_mutex_init(&self.mutex, NULL)
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed must be in 0 .. 2**64 - 1, got {seed}")
        if not SOPHIA_IDF_BOUND_MIN <= bound <= SOPHIA_IDF_BOUND_MAX:
            raise ValueError(
                f"bound must be in {SOPHIA_IDF_BOUND_MIN} .. {SOPHIA_IDF_BOUND_MAX} features, got {bound}"
            )
        self.seed = seed
        self.keys = sophia_make_feature_keys(self.seed)
        if sophia_idf_init(&self.table, bound):
            raise MemoryError("no memory for the IDF table")

    def __dealloc__(self):
        sophia_idf_free(&self.table)
        free(self.spare)
        pthread_mutex_destroy(&self.mutex)

    cdef int count(self, const sophia_features *features, int sign) noexcept nogil:
        pthread_mutex_lock(&self.mutex)
        cdef int code = sophia_idf_document(&self.table, features, sign)
        pthread_mutex_unlock(&self.mutex)
        return code

    cdef void weigh(self, sophia_features *features) noexcept nogil:
        pthread_mutex_lock(&self.mutex)
        sophia_features_weigh(features, &self.table)
        pthread_mutex_unlock(&self.mutex)

    cdef uint32_t rarity(self, const sophia_features *features) noexcept nogil:
        pthread_mutex_lock(&self.mutex)
        cdef uint32_t rarity = sophia_idf_rarity(&self.table, features)
        pthread_mutex_unlock(&self.mutex)
        return rarity

    cdef int _count_text(self, object text, int sign, sophia_extractor *extract) except -1:
        cdef Py_ssize_t size = 0
        text = utf8_source(text)
        cdef const unsigned char *data = utf8_of(text, &size)
        cdef sophia_features *features
        cdef int code = SOPHIA_IDF_NO_MEMORY
        with nogil:
            features = <sophia_features *>sophia_spare_take(&self.spare)
            if features == NULL:
                features = <sophia_features *>malloc(sizeof(sophia_features))
            if features != NULL:
                code = extract(data, <size_t>size, &self.keys, features)
                if code >= 0:
                    code = self.count(features, sign)
                free(sophia_spare_put(&self.spare, features))
        if code < 0:
            raise_code(code, "text")
        return 0

    @property
    def documents(self):
        """Documents observed and not forgotten."""
        return self.table.documents

    @property
    def bound(self):
        """Features held at most."""
        return self.table.bound

    @property
    def swept(self):
        """Features that have left because the table was full."""
        return self.table.swept

    @property
    def nbytes(self):
        """Bytes of the table itself."""
        return self.table.capacity * 16

    def __len__(self):
        """Features held."""
        return self.table.used

    def __repr__(self):
        return f"IdfTable(seed={self.seed}, documents={self.documents}, features={len(self)})"

    def observe(self, text):
        """Count one document (str, or bytes of UTF-8). A text without features raises ValueError."""
        self._count_text(text, 1, sophia_features_extract)

    def observe_words(self, text):
        """Count one document (str, or bytes of UTF-8) by its words alone: those of two letters or more that hold no
        digit. A quarter of the cost of `observe`, and of the room. A text without such words is a document too."""
        self._count_text(text, 1, sophia_words_extract)

    def forget(self, text):
        """Take one document back, given its whole text; features that have left the table are passed over.

        Forgetting a text that was never observed lowers the frequencies of others: the table keeps no texts
        and cannot tell. ValueError when no document is left or the text has no features.
        """
        self._count_text(text, -1, sophia_features_extract)

    def forget_words(self, text):
        """Take back what `observe_words` counted of a text; as `forget`."""
        self._count_text(text, -1, sophia_words_extract)

    def holds(self, text):
        """Whether each feature of a text (str, or bytes of UTF-8) is counted: else the text never was. Others that have
        the same features may have been. False for a text without features."""
        return self._holds(text, sophia_features_extract)

    def holds_words(self, text):
        """The same for what `observe_words` counts."""
        return self._holds(text, sophia_words_extract)

    cdef bint _holds(self, object text, sophia_extractor *extract) except -1:
        cdef Py_ssize_t size = 0
        text = utf8_source(text)
        cdef const unsigned char *data = utf8_of(text, &size)
        cdef uint32_t i
        cdef bint found = False
        cdef sophia_features *features = <sophia_features *>malloc(sizeof(sophia_features))
        if features == NULL:
            raise MemoryError("no memory for the features of a text")
        cdef int code = extract(data, <size_t>size, &self.keys, features)
        if code > 0:
            found = True
            pthread_mutex_lock(&self.mutex)
            for i in range(features.count):
                if sophia_idf_df(&self.table, features.entries[i].hash) == 0:
                    found = False
                    break
            pthread_mutex_unlock(&self.mutex)
        free(features)
        return found

    cdef uint64_t _word(self, object word) except? 0:
        cdef Py_ssize_t size = 0
        source = utf8_source(word)
        cdef const unsigned char *data = utf8_of(source, &size)
        cdef uint32_t i
        cdef uint64_t found = 0
        cdef sophia_features *features = <sophia_features *>malloc(sizeof(sophia_features))
        if features == NULL:
            raise MemoryError("no memory for the features of a text")
        cdef int code = sophia_features_extract(data, <size_t>size, &self.keys, features)
        if code > 0:
            for i in range(features.count):
                if features.entries[i].kind == SOPHIA_FEATURE_WORD:
                    found = features.entries[i].hash if found == 0 else 1
        free(features)
        if found <= 1:
            raise ValueError(f"expected a single word, got {word!r}")
        return found

    def df(self, word):
        """Documents that hold `word` (a single word: letters and digits only)."""
        cdef uint64_t key = self._word(word)
        pthread_mutex_lock(&self.mutex)
        cdef uint32_t df = sophia_idf_df(&self.table, key)
        pthread_mutex_unlock(&self.mutex)
        return df

    def weight(self, word):
        """What `word` weighs, in bits: a multiple of 1/16."""
        return sophia_idf_weight(self.table.documents, self.df(word)) / <double>SOPHIA_IDF_ONE

    def changes(self):
        """What changed since the last call: ``(documents, records)``, for a store to append.

        `documents` is the change of the number of documents; `records` are bytes, 16 for each changed
        feature: its hash (uint64) and the change of its frequency (int64), little-endian. :meth:`apply` on an
        empty table, in the same order, gives the same table. The caller owns what it was told: if it cannot
        store it, it keeps it and stores it with the next. Cost: about 10 ns a changed feature.
        """
        cdef int64_t documents = 0
        cdef size_t count
        pthread_mutex_lock(&self.mutex)
        cdef size_t room = sophia_idf_changes_bound(&self.table)
        cdef sophia_idf_record *records = <sophia_idf_record *>malloc(room * sizeof(sophia_idf_record) + 1)
        if records != NULL:
            count = sophia_idf_changes(&self.table, records, &documents)
        pthread_mutex_unlock(&self.mutex)
        if records == NULL:
            raise MemoryError("no memory for the changes of the IDF table")
        try:
            return documents, PyBytes_FromStringAndSize(<char *>records, count * sizeof(sophia_idf_record))
        finally:
            free(records)

    def apply(self, documents, bytes records not None):
        """Add changes that :meth:`changes` of a table with the same seed has told; they are not told again.

        StoreCorrupt when `records` is not a whole number of records or the documents would become negative.
        """
        cdef size_t size = <size_t>PyBytes_GET_SIZE(records)
        cdef int64_t delta = documents
        if size % sizeof(sophia_idf_record):
            raise StoreCorrupt(f"not the changes of an IDF table: {documents} documents, {size} bytes")
        cdef const sophia_idf_record *first = <const sophia_idf_record *>PyBytes_AS_STRING(records)
        self._add(delta, first, size // sizeof(sophia_idf_record), True)

    cdef int _add(
        self, int64_t documents, const sophia_idf_record *records, size_t count, bint told
    ) except -1:
        cdef int code
        with nogil:
            pthread_mutex_lock(&self.mutex)
            code = sophia_idf_apply(&self.table, records, count, documents, told)
            pthread_mutex_unlock(&self.mutex)
        if code:
            raise_code(code, "IDF table")
        return 0

    cdef sophia_idf_record *_snapshot(self, size_t *count, uint64_t *documents) except NULL:
        """All features by ascending hash; the caller frees them."""
        cdef sophia_idf_record *records
        with nogil:
            pthread_mutex_lock(&self.mutex)
            records = <sophia_idf_record *>malloc(self.table.used * sizeof(sophia_idf_record) + 1)
            if records != NULL:
                count[0] = sophia_idf_sorted(&self.table, records)
                documents[0] = self.table.documents
            pthread_mutex_unlock(&self.mutex)
        if records == NULL:
            raise MemoryError("no memory for a copy of the IDF table")
        return records

    def merge(self, IdfTable other not None):
        """Add the documents and frequencies of a table with the same seed.

        Order-free as long as neither table has swept. ValueError for another seed. Cost: about 100 ns a
        feature of `other`, which is copied first.
        """
        cdef size_t count = 0
        cdef uint64_t documents = 0
        if other.seed != self.seed:
            raise ValueError(f"tables with seeds {self.seed} and {other.seed} do not name the same features")
        cdef sophia_idf_record *records = other._snapshot(&count, &documents)
        try:
            self._add(<int64_t>documents, records, count, False)
        finally:
            free(records)

    def dump(self):
        """The table as bytes: magic, version, seed, bound, counts, features by ascending hash, checksum.

        Equal tables give equal bytes. 12 bytes a feature; changes not yet told are in it like the others.
        """
        cdef size_t count = 0
        cdef uint64_t documents = 0
        cdef sophia_idf_record *records = self._snapshot(&count, &documents)
        try:
            features = PyBytes_FromStringAndSize(NULL, count * _RECORD)
            _pack(<unsigned char *>PyBytes_AS_STRING(features), records, count)
        finally:
            free(records)
        numbers = (_VERSION, self.seed, self.bound, documents, self.swept, count)
        block = _MAGIC + b"".join([int(n).to_bytes(8, "little") for n in numbers]) + features
        return block + _checksum(block)

    @staticmethod
    def load(bytes block not None):
        """The table that :meth:`dump` wrote. StoreCorrupt, or StoreVersionError for a newer version."""
        size = len(block)
        if size < _HEADER + 16 or block[:8] != _MAGIC:
            raise StoreCorrupt("not an IDF table: magic or length is wrong")
        version = int.from_bytes(block[8:16], "little")
        if version > _VERSION:
            raise StoreVersionError(f"IDF table of version {version}; this sophia reads up to {_VERSION}")
        if _checksum(block[:-16]) != block[-16:]:
            raise StoreCorrupt("IDF table: the checksum does not match")
        seed, bound, documents, swept, count = (
            int.from_bytes(block[at:at + 8], "little") for at in range(16, _HEADER, 8)
        )
        fits = size == _HEADER + count * _RECORD + 16 and count <= bound
        if not fits or not SOPHIA_IDF_BOUND_MIN <= bound <= SOPHIA_IDF_BOUND_MAX:
            raise StoreCorrupt(f"IDF table: {count} features and a bound of {bound} do not fit {size} bytes")
        cdef IdfTable table = IdfTable(seed=seed, bound=bound)
        cdef size_t features = count
        cdef size_t room = features * sizeof(sophia_idf_record) + 1
        cdef sophia_idf_record *records = <sophia_idf_record *>malloc(room)
        if records == NULL:
            raise MemoryError("no memory for the IDF table")
        try:
            _unpack(<const unsigned char *>PyBytes_AS_STRING(block) + _HEADER, records, features)
            table._add(<int64_t><uint64_t>documents, records, features, True)
        finally:
            free(records)
        table.table.swept = swept
        return table
