"""Where messages for one actor are sent."""

from sophia._core.mailbox cimport Mailbox


cdef class Address:
    cdef readonly Mailbox mailbox
    cdef Mailbox there(self)
