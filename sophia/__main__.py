"""``python -m sophia`` is the command `sophia`."""

import sys

from sophia.cli.main import main

sys.exit(main())
