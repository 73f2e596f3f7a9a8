"""Document frequencies of text features."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t


cdef extern from "text_features.h" nogil:
    enum:
        SOPHIA_FEATURES_MAX
        SOPHIA_FEATURE_WORD
        SOPHIA_FEATURE_GRAM3
        SOPHIA_FEATURE_GRAM4
        SOPHIA_EDGE_START
        SOPHIA_EDGE_END
        SOPHIA_FEATURES_NONE
        SOPHIA_FEATURES_TOO_LONG

    cdef struct sophia_feature:
        uint64_t hash
        uint32_t start
        uint32_t size
        uint16_t count
        uint16_t weight
        uint8_t kind
        uint8_t edges

    cdef struct sophia_features:
        uint32_t count
        uint32_t dropped
        sophia_feature entries[4096]

    cdef struct sophia_feature_keys:
        pass

    sophia_feature_keys sophia_make_feature_keys "sophia_feature_keys"(uint64_t seed)
    int sophia_features_extract(
        const unsigned char *text, size_t size, const sophia_feature_keys *keys, sophia_features *out
    ) noexcept
    int sophia_words_extract(
        const unsigned char *text, size_t size, const sophia_feature_keys *keys, sophia_features *out
    ) noexcept


ctypedef int sophia_extractor(
    const unsigned char *text, size_t size, const sophia_feature_keys *keys, sophia_features *out
) noexcept nogil


cdef extern from "idf.h" nogil:
    enum:
        SOPHIA_IDF_ONE
        SOPHIA_IDF_RARE
        SOPHIA_IDF_BOUND_MIN
        SOPHIA_IDF_BOUND_MAX
        SOPHIA_IDF_NO_MEMORY
        SOPHIA_IDF_NO_DOCUMENT
        SOPHIA_IDF_BAD_RECORD
        SOPHIA_IDF_BAD_DOCUMENTS

    cdef struct sophia_idf_record:
        uint64_t key
        int64_t delta

    cdef struct sophia_idf:
        size_t capacity
        size_t used
        size_t bound
        uint64_t documents
        uint64_t documents_saved
        uint64_t swept

    void sophia_log2_init()
    int sophia_idf_init(sophia_idf *idf, size_t bound)
    void sophia_idf_free(sophia_idf *idf)
    int sophia_idf_document(sophia_idf *idf, const sophia_features *features, int sign)
    uint32_t sophia_idf_df(const sophia_idf *idf, uint64_t key)
    uint16_t sophia_idf_weight(uint64_t documents, uint64_t df)
    uint32_t sophia_idf_rarity(const sophia_idf *idf, const sophia_features *features)
    void sophia_features_weigh(sophia_features *features, const sophia_idf *idf)  # idf may be NULL
    size_t sophia_idf_changes_bound(const sophia_idf *idf)
    size_t sophia_idf_changes(sophia_idf *idf, sophia_idf_record *out, int64_t *documents)
    int sophia_idf_apply(
        sophia_idf *idf, const sophia_idf_record *records, size_t count, int64_t documents, int told
    )
    size_t sophia_idf_sorted(const sophia_idf *idf, sophia_idf_record *out)


cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass


# The text itself, or its bytes when it holds lone surrogates; TypeError unless it is str or bytes.
cdef object utf8_source(object text)

# Borrowed UTF-8 of what utf8_source gave, valid as long as that lives.
cdef const unsigned char *utf8_of(object source, Py_ssize_t *size) except NULL

# Raises what a negative code of text_features.h or idf.h means; `what` begins the message.
cdef int raise_code(int code, str what) except -1


cdef class IdfTable:
    """Thread-safe: one mutex, held for the look-ups or the counting of one text (below a microsecond)."""

    cdef sophia_idf table
    cdef sophia_feature_keys keys
    cdef pthread_mutex_t mutex
    cdef void *spare  # a sophia_features, or NULL while a call uses it
    cdef readonly uint64_t seed

    # Counts one document; sign +1 or -1. 0 or an error code.
    cdef int count(self, const sophia_features *features, int sign) noexcept nogil
    # Fills the weights of the features.
    cdef void weigh(self, sophia_features *features) noexcept nogil
    # How rare the rarest of the features is, in shares of 1 / SOPHIA_IDF_RARE.
    cdef uint32_t rarity(self, const sophia_features *features) noexcept nogil

    # Private to the module.
    cdef int _count_text(self, object text, int sign, sophia_extractor *extract) except -1
    cdef bint _holds(self, object text, sophia_extractor *extract) except -1
    cdef uint64_t _word(self, object word) except? 0
    cdef int _add(
        self, int64_t documents, const sophia_idf_record *records, size_t count, bint told
    ) except -1
    cdef sophia_idf_record *_snapshot(self, size_t *count, uint64_t *documents) except NULL
