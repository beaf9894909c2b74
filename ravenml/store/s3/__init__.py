"""A bucket on any server that speaks S3.

``store.py`` is the store, ``client.py`` one bucket's client, whose requests are repeated, ``transfer.py``
moves large files in parts, ``access.py`` knows where the bucket is and signs, ``errors.py`` says what is
worth another try and makes sentences of the rest.

Objects go through obstore.  What has no equal there is a signed request of our own: listings (obstore takes
a web page, or a page that lacks keys, for one), uploads in parts that can be resumed, deletions (it takes
any answer for one), keys that it cannot name (``a//b``), and processes that were forked after a request.
boto3's chain finds the credentials, unless plain keys are in the environment or in a file.
"""

from __future__ import annotations

from ravenml.store.s3.access import Connection
from ravenml.store.s3.store import S3Store

__all__ = ["Connection", "S3Store"]
