"""Words that tell texts apart. See terms.pyx."""
